# The package for rpm, for inside.sh. This host is a Debian, whose rpm has an empty database: what the package requires is looked at, and
# not compared with what is installed.
kept=/etc/enforcer/site.yaml.rpmsave
install_old() { rpm --install --nodeps enforcer-*-1.*.rpm; }
upgrade() { rpm --upgrade --nodeps enforcer-*-2.*.rpm; }
remove() { rpm --erase enforcer; }
at_last() {
    holds "it requires the C library of its binary" bash -c 'rpm --query --requires --package enforcer-*-2.*.rpm | grep "libc.so.6(GLIBC_"'
    holds "rpm knows nothing of it any more" not rpm --query enforcer
}
