package deploy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"hydrant/bus"
)

// makeCertificates makes an authority and, signed by it, a server's and a
// client's certificate, under the names that tls.conf has.
func makeCertificates(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	key := func(name string) *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		writePEM(t, filepath.Join(dir, name), "PRIVATE KEY", der)
		return key
	}
	template := func(serial int64, name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		}
	}
	sign := func(name string, certificate, parent *x509.Certificate, public *ecdsa.PublicKey, signer *ecdsa.PrivateKey) {
		der, err := x509.CreateCertificate(rand.Reader, certificate, parent, public, signer)
		if err != nil {
			t.Fatal(err)
		}
		writePEM(t, filepath.Join(dir, name), "CERTIFICATE", der)
	}
	authority, authorityKey := template(1, "authority"), key("ca-key.pem")
	authority.IsCA, authority.BasicConstraintsValid, authority.KeyUsage = true, true, x509.KeyUsageCertSign
	sign("ca.pem", authority, authority, &authorityKey.PublicKey, authorityKey)
	for i, name := range []string{"server", "client"} {
		leaf, leafKey := template(int64(i+2), name), key(name+"-key.pem")
		leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		if name == "server" { // servers are clients of each other
			leaf.ExtKeyUsage = append(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
			leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		}
		sign(name+".pem", leaf, authority, &leafKey.PublicKey, authorityKey)
	}
	return dir
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTLS: tls.conf keeps out who does not know the authority, speaks plainly,
// or, with verify, has no certificate.
func TestTLS(t *testing.T) {
	certificates := makeCertificates(t)
	setPasswords(t)
	for _, verify := range []string{"false", "true"} {
		t.Run("verify "+verify, func(t *testing.T) {
			dir := copyConfig(t, certificates)
			text := replaceOnce(t, read(t, filepath.Join(dir, "tls.conf")), "verify: false", "verify: "+verify) + `include "accounts.conf"`
			path := filepath.Join(dir, "one.conf")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			options, err := server.ProcessConfigFile(path)
			if err != nil {
				t.Fatal(err)
			}
			options.Port = server.RANDOM_PORT
			url := startServer(t, options).ClientURL()
			secure := strings.Replace(url, "nats://", "tls://", 1)
			ca, cert, key := certificates+"/ca.pem", certificates+"/client.pem", certificates+"/client-key.pem"
			for _, c := range []struct {
				name   string
				config bus.Config
				ok     bool
			}{
				{"no authority", bus.Config{URL: secure}, false},
				{"the authority", bus.Config{URL: secure, CA: ca}, verify == "false"},
				{"authority and certificate", bus.Config{URL: secure, CA: ca, Cert: cert, Key: key}, true},
			} {
				c.config.User, c.config.Password = "edge", "laptop-edge"
				nc, err := bus.Connect(c.config, "tls")
				if (err == nil) != c.ok {
					t.Errorf("%s: %v", c.name, err)
				}
				if err == nil {
					nc.Close()
				}
			}
		})
	}
}
