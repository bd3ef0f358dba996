# Make MariaDB's template data directory at $1, inside the root: a guest copies it, and sets
# credentials and server id. The only account is root@localhost, by unix socket.
#
# The redo log is 8 MiB, since it is copied; the server makes it larger when it starts with another
# innodb_log_file_size. Undo tablespaces are kept, with holes where nothing is written yet.
datadir=$1
options="--no-defaults --datadir=$datadir --user=mysql --innodb-log-file-size=8M --skip-log-bin"

chown mysql:mysql "$datadir"
chmod 750 "$datadir"
# shellcheck disable=SC2086  # the options are words
mariadb-install-db $options --skip-test-db --skip-name-resolve \
    --auth-root-authentication-method=socket --auth-root-socket-user=root >/dev/null
# shellcheck disable=SC2086
mariadbd $options --bootstrap --skip-networking <<SQL
USE mysql;
DELETE FROM global_priv WHERE User = '' OR NOT (User IN ('root', 'mariadb.sys') AND Host = 'localhost');
DELETE FROM db WHERE Db LIKE 'test%';
DELETE FROM proxies_priv WHERE Host <> 'localhost';
DROP DATABASE IF EXISTS test;
FLUSH PRIVILEGES;
SQL
cd "$datadir"
rm -f ibtmp1 ./*.err ./*.pid auto.cnf multi-master.info ib_buffer_pool
fallocate --dig-holes ibdata1
for undo in undo0*; do
    fallocate --dig-holes "$undo"
done
chown -R mysql:mysql "$datadir"
