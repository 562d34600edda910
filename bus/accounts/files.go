package accounts

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/conf"
)

// Files that [Config.Write] writes, beside [PasswordsFile].
const (
	AccountsFile = "accounts.conf"
	usersDir     = "users"
)

// Write writes the configuration, the passwords, and users/<user>.env into a folder. Users
// that were there keep their passwords; those that are not named any more go. Where Nodes
// is empty, it becomes the name that is there.
func (c *Config) Write(dir string) error {
	if c.Nodes == "" {
		var err error
		if c.Nodes, err = nodesAccount(filepath.Join(dir, AccountsFile)); err != nil {
			return err
		}
	}
	text, err := c.Text()
	if err != nil {
		return err
	}
	passwords, err := readPasswords(filepath.Join(dir, PasswordsFile))
	if err != nil {
		return err
	}
	users := c.Users()
	maps.DeleteFunc(passwords, func(user, _ string) bool { return !slices.Contains(users, user) })
	for _, user := range users {
		if passwords[user] == "" {
			passwords[user] = newPassword()
		}
	}
	return writeAll(dir, text, users, passwords)
}

// firstAccount is where a file names the account of nodes.
var firstAccount = regexp.MustCompile(`(?m)^accounts \{\n(?:\s*#.*\n)*\s*([A-Za-z0-9_-]+) \{$`)

// nodesAccount is the account of nodes in a file of this version, or of those before;
// [Edge] if there is no file.
func nodesAccount(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Edge, nil
	}
	if err != nil {
		return "", err
	}
	found := firstAccount.FindSubmatch(text)
	if found == nil {
		return "", fmt.Errorf("%w: %s has no account of nodes: name it, or write to another folder", ErrServices, path)
	}
	return string(found[1]), nil
}

// newPassword is 256 random bits.
func newPassword() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails, crypto/rand since Go 1.24
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// readPasswords are those of the users that the file has; none if there is no file.
func readPasswords(path string) (map[string]string, error) {
	passwords := make(map[string]string)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return passwords, nil
	}
	all, err := conf.ParseFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for name, value := range all {
		password, ok := value.(string)
		user, known := UserOf(name)
		if !ok || !known {
			return nil, fmt.Errorf("%s: %s is no password of a user", path, name)
		}
		passwords[user] = password
	}
	return passwords, nil
}

// writeAll writes all files. Those with passwords are for their owner alone, unless
// they were there and are another's to read. The owner is that of what was there, or of
// the folder: servers that run as a user of their own go on reading what root writes.
func writeAll(dir, text string, users []string, passwords map[string]string) error {
	var b strings.Builder
	b.WriteString("# The passwords of the users of accounts.conf. Keep it secret.\n")
	for _, user := range users {
		fmt.Fprintf(&b, "%s: %q\n", Variable(user), passwords[user])
	}
	if err := makeUsersDir(dir); err != nil {
		return err
	}
	// A server that reads in between has a password too many, and refuses: it keeps what it had.
	errs := []error{
		replaceFile(filepath.Join(dir, PasswordsFile), b.String(), 0o600),
		replaceFile(filepath.Join(dir, AccountsFile), text, 0o644),
	}
	for _, user := range users {
		env := fmt.Sprintf("NATS_USER=%s\nNATS_PASSWORD=%s\n", user, passwords[user])
		errs = append(errs, replaceFile(filepath.Join(dir, usersDir, user+".env"), env, 0o600))
	}
	old, err := filepath.Glob(filepath.Join(dir, usersDir, "*.env"))
	errs = append(errs, err)
	for _, path := range old {
		if !slices.Contains(users, strings.TrimSuffix(filepath.Base(path), ".env")) {
			errs = append(errs, os.Remove(path))
		}
	}
	return errors.Join(errs...)
}

// makeUsersDir makes the folder of the users' files, where it is missing, for the owner of dir.
func makeUsersDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	users := filepath.Join(dir, usersDir)
	if err := os.Mkdir(users, 0o700); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	outer, err := os.Stat(dir)
	if err != nil {
		return err
	}
	return giveTo(users, outer)
}

// replaceFile writes a file whole, or not at all.
func replaceFile(path, text string, mode fs.FileMode) error {
	before, err := os.Stat(path)
	if err == nil {
		mode = before.Mode().Perm()
	} else if before, err = os.Stat(filepath.Dir(path)); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path))
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // fails where all went well
	_, err = file.WriteString(text)
	err = errors.Join(err, file.Chmod(mode), giveTo(file.Name(), before), file.Sync(), file.Close())
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
