// Package local is how programs on a machine find the NATS server inside a node, and how
// they prove that they may use it.
//
// That server has two users, nodes and services (package scheme has what each may do).
// Its data directory holds a password for each, in a file that its owner alone can read,
// and its address. So whoever may read the directory may use the server, and needs no
// setting but EDGE_DATA_DIR, and not that one in the directory that the node was started
// in. The passwords stay when the server is started again, and the address is that of the
// last start.
//
// # Design
//
// A password is sent as it is. It is given to no other server than the one that the
// directory names: a program that is told of another one does not send it there.
package local

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// DefaultDir is the data directory where EDGE_DATA_DIR names none.
const DefaultDir = "hydrant-data"

const addressFile = "nats.url"

// Dir is the data directory of the node on this machine.
func Dir() string {
	if dir := os.Getenv("EDGE_DATA_DIR"); dir != "" {
		return dir
	}
	return DefaultDir
}

// PasswordFile is the file with a user's password.
func PasswordFile(dir, user string) string {
	return filepath.Join(dir, "nats-"+user+".password")
}

// Password is a user's password. It is made if there is none; and its file is made its
// owner's alone, whatever it was before.
func Password(dir, user string) (string, error) {
	path := PasswordFile(dir, user)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" { // of a disk that was full, perhaps
		var b [32]byte
		_, _ = rand.Read(b[:]) // never fails, crypto/rand since Go 1.24
		password = base64.RawURLEncoding.EncodeToString(b[:])
	}
	return password, replace(path, password+"\n")
}

// Announce writes down where the server listens.
func Announce(dir, address string) error {
	return replace(filepath.Join(dir, addressFile), address+"\n")
}

// Address is where the server listens, or did when it ran last.
func Address(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, addressFile))
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(text)), nil
}

// Same reports whether an address of the form nats://host:port, or host:port, without a
// user, is that of the server whose own is given: they are the same, or both on loopback
// with the same port.
func Same(address, own string) bool {
	host, port, ok := split(address)
	ownHost, ownPort, known := split(own)
	return ok && known && port == ownPort && (host == ownHost || Loopback(host) && Loopback(ownHost))
}

func split(address string) (host, port string, ok bool) {
	if !strings.Contains(address, "://") {
		address = "nats://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.User != nil || u.Scheme != "nats" || u.Hostname() == "" {
		return "", "", false
	}
	return u.Hostname(), cmp.Or(u.Port(), "4222"), true
}

// Loopback reports whether a host is this machine to itself, and to no other.
func Loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// Reachable is the address by which this machine reaches a listener.
func Reachable(listen net.Addr) string {
	tcp, ok := listen.(*net.TCPAddr)
	if !ok || tcp.IP.IsUnspecified() {
		_, port, _ := net.SplitHostPort(listen.String())
		return "nats://127.0.0.1:" + port
	}
	return "nats://" + tcp.String()
}

// replace writes a file that is its owner's alone, whole or not at all.
func replace(path, text string) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)) // 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // fails where all went well
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.Rename(file.Name(), path)
}
