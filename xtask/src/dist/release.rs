//! What proves that the files of a release are those that were made: checksums, and their signature.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

use crate::shell::CommandLine;

/// The file of checksums.
const SUMS: &str = "SHA256SUMS";
/// Its signature, by an OpenSSH key (SSHSIG).
const SIGNATURE: &str = "SHA256SUMS.sig";

/// Writes the checksums of these files of a folder, and returns the name of the new file.
pub(super) fn checksums(folder: &Path, names: &[String]) -> anyhow::Result<Vec<&'static str>> {
    let line = CommandLine::new(&["sha256sum"]);
    let line = names.iter().fold(line, CommandLine::arg);
    let output = line.command().current_dir(folder).output().context("cannot start sha256sum")?;
    if !output.status.success() {
        bail!("`{line}` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    fs::write(folder.join(SUMS), output.stdout)?;
    // A signature of other checksums proves nothing.
    match fs::remove_file(folder.join(SIGNATURE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("cannot remove the old signature")
        }
        _ => Ok(vec![SUMS]),
    }
}

/// Signs the checksums of a folder with a private key, and returns the name of the signature.
pub(super) fn sign(folder: &Path, key: &Path) -> anyhow::Result<&'static str> {
    if !key.is_file() {
        bail!("no private key at {}; `ssh-keygen -t ed25519 -f {0}` makes one", key.display());
    }
    CommandLine::new(&["ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f"])
        .arg(key.to_string_lossy())
        .arg(folder.join(SUMS).to_string_lossy())
        .run()?;
    Ok(SIGNATURE)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::{Command, Output};

    use super::*;
    use crate::workspace;

    /// A folder with a file of a release, its checksums, and their signature by a key that is made here.
    struct Release(PathBuf);

    impl Release {
        fn signed() -> Self {
            let folder = std::env::temp_dir().join(format!("enforcer-release-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            let release = Self(folder);
            for key in ["key", "other"] {
                release.run(&format!("rm -f {key} && ssh-keygen -q -t ed25519 -N '' -C '' -f {key}"));
            }
            release.run("echo package > enforcer.deb; echo \"release namespaces=\\\"file\\\" $(cat key.pub)\" > allowed_signers");
            checksums(&release.0, &["enforcer.deb".to_owned()]).unwrap();
            sign(&release.0, &release.0.join("key")).unwrap();
            release
        }

        fn run(&self, script: &str) -> Output {
            Command::new("bash").args(["-c", script]).current_dir(&self.0).output().unwrap()
        }

        /// What the command of docs/operating.md says.
        fn verified(&self) -> Result<String, String> {
            let page = fs::read_to_string(workspace::root().join("docs/operating.md")).unwrap();
            let block = page.split("```").find(|block| block.contains("ssh-keygen -Y verify")).unwrap();
            let output = self.run(&block.replace("\nsh\n", "\n"));
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            if output.status.success() { Ok(said) } else { Err(said) }
        }
    }

    impl Drop for Release {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_signed_release_is_verified_by_the_command_of_the_documents_and_a_changed_one_is_not() {
        let release = Release::signed();
        let said = release.verified().unwrap();
        assert!(said.contains("Good \"file\" signature for release") && said.contains("enforcer.deb: OK"), "{said}");

        release.run("echo other >> enforcer.deb");
        let said = release.verified().unwrap_err();
        assert!(said.contains("enforcer.deb: FAILED"), "{said}");

        // Whoever replaces a file can replace its checksum, and the old signature is then none.
        release.run("sha256sum enforcer.deb > SHA256SUMS");
        let said = release.verified().unwrap_err();
        assert!(!said.contains("OK"), "{said}");

        sign_again(&release, "other");
        assert!(!release.verified().unwrap_err().contains("OK"), "a key that nobody allowed");
        sign_again(&release, "key");
        release.verified().unwrap();
    }

    #[test]
    fn new_checksums_have_no_old_signature_and_a_missing_key_is_named() {
        let folder = std::env::temp_dir().join(format!("enforcer-sums-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("x"), "").unwrap();
        fs::write(folder.join(SIGNATURE), "old").unwrap();
        let made = checksums(&folder, &["x".to_owned()]).unwrap();
        let is_signed = folder.join(SIGNATURE).exists();
        let error = sign(&folder, &folder.join("no-key")).unwrap_err().to_string();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!((made, is_signed), (vec![SUMS], false));
        assert!(error.contains("no-key") && error.contains("ssh-keygen -t ed25519"), "{error}");
    }

    fn sign_again(release: &Release, key: &str) {
        let _ = fs::remove_file(release.0.join(SIGNATURE));
        sign(&release.0, &release.0.join(key)).unwrap();
    }
}
