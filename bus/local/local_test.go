package local

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestPassword: it is made once, is long, and is its owner's alone, also where it was
// not before.
func TestPassword(t *testing.T) {
	dir := t.TempDir()
	first, err := Password(dir, "service")
	if err != nil || len(first) < 43 {
		t.Fatal(first, err)
	}
	other, err := Password(dir, "edge")
	if err != nil || other == first {
		t.Error(other, err)
	}
	file := PasswordFile(dir, "service")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	again, err := Password(dir, "service")
	if err != nil || again != first {
		t.Errorf("%s is %s now: %v", first, again, err)
	}
	for _, user := range []string{"service", "edge"} {
		if info, err := os.Stat(PasswordFile(dir, user)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", user, info.Mode(), err)
		}
	}
	if err := os.WriteFile(file, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := Password(dir, "service"); err != nil || len(p) < 43 {
		t.Errorf("an empty password: %q %v", p, err)
	}
	if _, err := Password(filepath.Join(dir, "nowhere"), "edge"); err == nil {
		t.Error("a password that cannot be kept")
	}
}

// TestSame: a password goes to the server of the directory, and to no other.
func TestSame(t *testing.T) {
	const own = "nats://127.0.0.1:4222"
	for address, want := range map[string]bool{
		"nats://localhost:4222": true, "nats://127.0.0.1:4222": true, "nats://127.0.0.1": true, "localhost:4222": true, "nats://[::1]:4222": true,
		"nats://localhost:4223": false, "nats://example.org:4222": false, "nats://10.0.0.1:4222": false, "nats://0.0.0.0:4222": false,
		"tls://localhost:4222": false, "nats://u:p@localhost:4222": false, "nats://localhost.example.org:4222": false, "": false, "nats://": false, ":": false,
		"nats://127.0.0.1.example.org:4222": false,
	} {
		if got := Same(address, own); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
	if !Same("nats://10.0.0.1:1", "nats://10.0.0.1:1") || Same("nats://localhost:1", "nats://10.0.0.1:1") {
		t.Error("a directory whose server is on another address")
	}
	if Same(own, "") || Same(own, "nonsense") {
		t.Error("a directory without an address")
	}
}

func TestAddress(t *testing.T) {
	dir := t.TempDir()
	if a, err := Address(dir); err == nil {
		t.Error(a)
	}
	if err := Announce(dir, "nats://127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	if a, err := Address(dir); err != nil || a != "nats://127.0.0.1:1" {
		t.Error(a, err)
	}
	for listen, want := range map[string]string{"0.0.0.0:5": "nats://127.0.0.1:5", "[::]:5": "nats://127.0.0.1:5", "127.0.0.1:5": "nats://127.0.0.1:5", "[::1]:5": "nats://[::1]:5", "10.0.0.1:5": "nats://10.0.0.1:5"} {
		a, err := net.ResolveTCPAddr("tcp", listen)
		if err != nil {
			t.Fatal(err)
		}
		if got := Reachable(a); got != want {
			t.Errorf("%s: %s", listen, got)
		}
	}
}
