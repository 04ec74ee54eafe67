# The package for dpkg, for inside.sh.
kept=/etc/enforcer/site.yaml
install_old() { dpkg --install enforcer_*-1_*.deb; }
upgrade() { dpkg --install --force-confold enforcer_*-2_*.deb; }
remove() { dpkg --remove enforcer; }
at_last() {
    holds "the package is purged" dpkg --purge enforcer
    for path in /etc/enforcer /etc/default/enforcer /var/lib/enforcer /usr/share/enforcer; do
        holds "$path is gone" not there $path
    done
}
