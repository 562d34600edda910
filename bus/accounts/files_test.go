package accounts

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	if text, err := os.ReadFile(filepath.Join(dir, AccountsFile)); err != nil || strings.Contains(string(text), "-account") {
		t.Errorf("the usual account is named: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, PasswordsFile), []byte("something: else\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{}
	if err := c.Write(dir); err == nil {
		t.Error("a file of something else was overwritten")
	}
}

// TestAccountOfNodes: it keeps the name that it has in the file that is there, whichever
// version wrote that, since what is stored belongs to it.
func TestAccountOfNodes(t *testing.T) {
	const before = "# Accounts and users.\naccounts {\n  HYDRANT {\n    jetstream {\n      max_consumers: -1\n    }\n    users: [{ user: edge, password: $NATS_EDGE_PASSWORD }]\n  }\n  SYS {\n  }\n}\n"
	for name, test := range map[string]struct {
		there, asked, want string
		shared             bool
	}{
		"nothing is there":     {want: Edge},
		"nothing, and a name":  {asked: "OURS", want: "OURS"},
		"of the version then":  {there: before, want: "HYDRANT"},
		"the same, shared":     {there: before, want: "HYDRANT", shared: true},
		"of then, and a name":  {there: before, asked: Edge, want: Edge},
		"with comments":        {there: "accounts {\n  # All of it.\n\n  # And more.\n  X-1 {\n  }\n}\n", want: "X-1"},
		"something else":       {there: "port: 4222\n"},
		"the servers' account": {asked: System},
		"a service's":          {asked: "SVC_a"},
		"no name":              {asked: "$G"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if test.there != "" {
				if err := os.WriteFile(filepath.Join(dir, AccountsFile), []byte(test.there), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 { // the second time the file is of this version
				c := Config{Services: []scheme.Service{"a", "b"}, Shared: test.shared, Nodes: test.asked}
				if err := c.Write(dir); (err != nil) != (test.want == "") {
					t.Fatal(err)
				}
				if test.want == "" {
					return
				}
				o, err := server.ProcessConfigFile(filepath.Join(dir, AccountsFile))
				if err != nil {
					t.Fatal(err)
				}
				names := map[bool]int{true: 2, false: 4} // with SYS
				if i := slices.IndexFunc(o.Users, func(u *server.User) bool { return u.Username == scheme.UserEdge }); o.Users[i].Account.Name != test.want || len(o.Accounts) != names[test.shared] {
					t.Errorf("nodes are in %s, of %d accounts", o.Users[i].Account.Name, len(o.Accounts))
				}
				test.asked = ""
			}
		})
	}
}
