package accounts

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"hydrant/bus/scheme"
)

// TestWrite: what is written is read by a server; who stays keeps the password, who goes is
// gone, and secrets are for their owner alone.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	write := func(services ...scheme.Service) map[string]string {
		t.Helper()
		c := Config{Services: services}
		if err := c.Write(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := server.ProcessConfigFile(filepath.Join(dir, AccountsFile)); err != nil {
			t.Fatal(err)
		}
		known, err := readPasswords(filepath.Join(dir, PasswordsFile))
		if err != nil || len(known) != len(c.Users()) {
			t.Fatal(known, err)
		}
		files, err := filepath.Glob(filepath.Join(dir, usersDir, "*"))
		if err != nil || len(files) != len(known) {
			t.Errorf("%v, %v", files, err)
		}
		for user, password := range known {
			path := filepath.Join(dir, usersDir, user+".env")
			text, err := os.ReadFile(path)
			if err != nil || string(text) != "NATS_USER="+user+"\nNATS_PASSWORD="+password+"\n" || len(password) != 43 {
				t.Errorf("%s: %q, %v", user, text, err)
			}
			files = append(files, path)
		}
		for _, path := range append(files, filepath.Join(dir, PasswordsFile)) {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", path, info.Mode(), err)
			}
		}
		return known
	}
	first := write("a", "b-c")
	second := write("a", "d")
	for user, password := range second {
		if before, there := first[user]; there && before != password {
			t.Errorf("%s has another password", user)
		}
	}
	if again := write("a", "b-c"); again["b-c"] == first["b-c"] || again["a"] != first["a"] {
		t.Error("who comes back has the password of before, or who stayed has not")
	}
	if err := os.WriteFile(filepath.Join(dir, PasswordsFile), []byte("something: else\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{}
	if err := c.Write(dir); err == nil {
		t.Error("a file of something else was overwritten")
	}
}
