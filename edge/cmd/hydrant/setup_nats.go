package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/conf"

	"hydrant/bus/accounts"
)

// Files of `hydrant setup nats`.
const (
	accountsFile  = "accounts.conf"
	passwordsFile = accounts.PasswordsFile
	usersDir      = "users"
)

// runSetupNATS writes who may do what on the NATS servers.
func runSetupNATS(args []string, out io.Writer) error {
	flags := newFlags("setup nats", `
Writes accounts.conf, passwords.conf and users/<user>.env into the folder. Users
that were there keep their passwords, and services that are not named any more go.
nats-server includes the first, which includes the second. A change is a reload of
each server (SIGHUP), and a second one for services that are new.
`)
	dir := flags.String("dir", ".", "folder to write to")
	list := flags.String("services", "", "all services, comma separated")
	shared := flags.Bool("shared", false, "all in one account: a service that turns evil can then harm sessions, but not read others' traffic")
	if err := parse(flags, args); err != nil {
		return err
	}
	services, err := parseServices("-services", *list)
	if err != nil {
		return err
	}
	c := accounts.Config{Services: services, Shared: *shared}
	text, err := c.Text()
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	passwords, err := readPasswords(filepath.Join(*dir, passwordsFile))
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
	if err := writeSetup(*dir, text, users, passwords); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s: %d services; have the servers include %s, and reload them %d times\n", *dir, len(services), accountsFile, accounts.Reloads)
	return err
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
		user, known := accounts.UserOf(name)
		if !ok || !known {
			return nil, fmt.Errorf("%s: %s is no password of a user", path, name)
		}
		passwords[user] = password
	}
	return passwords, nil
}

// writeSetup writes all files. Those with passwords are for their owner alone, unless
// they were there and are another's to read.
func writeSetup(dir, text string, users []string, passwords map[string]string) error {
	var b strings.Builder
	b.WriteString("# The passwords of the users of accounts.conf. Keep it secret.\n")
	for _, user := range users {
		fmt.Fprintf(&b, "%s: %q\n", accounts.Variable(user), passwords[user])
	}
	if err := os.MkdirAll(filepath.Join(dir, usersDir), 0o700); err != nil {
		return err
	}
	// A server that reads in between has a password too many, and refuses: it keeps what it had.
	errs := []error{
		replaceFile(filepath.Join(dir, passwordsFile), b.String(), 0o600),
		replaceFile(filepath.Join(dir, accountsFile), text, 0o644),
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

// replaceFile writes a file whole, or not at all.
func replaceFile(path, text string, mode fs.FileMode) error {
	if before, err := os.Stat(path); err == nil {
		mode = before.Mode().Perm()
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path))
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // fails where all went well
	_, err = file.WriteString(text)
	err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close())
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
