package bus

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"hydrant/bus/internal/natstest"
)

// guarded is a server whose credentials change with each start, on one port.
type guarded struct {
	t    *testing.T
	port int
	ns   *server.Server
}

// restart has the server ask for other credentials from now on.
func (g *guarded) restart(o server.Options) {
	g.t.Helper()
	g.stop()
	o.Host, o.Port, o.NoSigs, o.NoLog = "127.0.0.1", g.port, true, true
	if g.port == 0 {
		o.Port = server.RANDOM_PORT
	}
	ns, err := server.NewServer(&o)
	if err != nil {
		g.t.Fatal(err)
	}
	ns.Start()
	if !ns.ReadyForConnections(natstest.Patience) {
		g.t.Fatal("the server does not start")
	}
	g.ns, g.port = ns, ns.Addr().(*net.TCPAddr).Port
}

func (g *guarded) stop() {
	if g.ns != nil {
		g.ns.Shutdown()
		g.ns.WaitForShutdown()
	}
}

// rotates connects with cfg, has the server ask for the second credentials, puts
// them into the file, and waits for the connection.
func rotates(t *testing.T, cfg Config, file, first, second string, before, after server.Options) {
	t.Helper()
	replace := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	replace(first)
	g := &guarded{t: t}
	g.restart(before)
	defer func() { g.stop() }()
	cfg.URL = g.ns.ClientURL()
	refused, closed := make(chan struct{}, 1), make(chan struct{})
	nc, err := Connect(cfg, "test",
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {
			select {
			case refused <- struct{}{}:
			default:
			}
		}),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { nc.Close(); <-closed }()
	g.restart(after)
	select { // it comes with what it had
	case <-refused:
	case <-closed:
		t.Fatal("the connection is given up")
	}
	if err := os.Remove(file); err != nil { // as some tools replace files
		t.Fatal(err)
	}
	replace(second)
	natstest.WaitFor(t, nc.IsConnected)
}

// TestCredentialsRotate: what a file of credentials holds is read at every connect.
func TestCredentialsRotate(t *testing.T) {
	t.Parallel() // it waits for reconnects
	t.Run("password", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "password")
		rotates(t, Config{User: "u", PasswordFile: file}, file, "yesterday\n", "today\n",
			server.Options{Username: "u", Password: "yesterday"}, server.Options{Username: "u", Password: "today"})
	})
	t.Run("nkey", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "nkey")
		user := func() (seed string, o server.Options) {
			pair, public, seed := newKey(t, nkeys.CreateUser)
			pair.Wipe()
			return seed, server.Options{Nkeys: []*server.NkeyUser{{Nkey: public}}}
		}
		first, before := user()
		second, after := user()
		rotates(t, Config{NKey: file}, file, first, second, before, after)
	})
	t.Run("creds", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "creds")
		operator := func() (creds string, o server.Options) {
			keys, trusted, _ := newKey(t, nkeys.CreateOperator)
			accountKeys, account, _ := newKey(t, nkeys.CreateAccount)
			_, user, seed := newKey(t, nkeys.CreateUser)
			accountJWT, err := jwt.NewAccountClaims(account).Encode(keys)
			if err != nil {
				t.Fatal(err)
			}
			userJWT, err := jwt.NewUserClaims(user).Encode(accountKeys)
			if err != nil {
				t.Fatal(err)
			}
			text, err := jwt.FormatUserConfig(userJWT, []byte(seed))
			if err != nil {
				t.Fatal(err)
			}
			resolver := &server.MemAccResolver{}
			if err := resolver.Store(account, accountJWT); err != nil {
				t.Fatal(err)
			}
			return string(text), server.Options{TrustedKeys: []string{trusted}, AccountResolver: resolver}
		}
		first, before := operator()
		second, after := operator()
		rotates(t, Config{Creds: file}, file, first, second, before, after)
	})
}

func newKey(t *testing.T, create func() (nkeys.KeyPair, error)) (pair nkeys.KeyPair, public, seed string) {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	public, err = pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	text, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return pair, public, string(text)
}

// TestSilentDNS: a resolver that says nothing costs an attempt to connect no more
// than a server that says nothing.
func TestSilentDNS(t *testing.T) {
	before, silent := net.DefaultResolver, make(chan struct{})
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		<-silent
		return nil, context.DeadlineExceeded
	}}
	defer func() {
		close(silent)
		net.DefaultResolver = before
	}()
	d := &dialer{timeout: 100 * time.Millisecond}
	if _, err := d.Dial("tcp", "nats.example:4222"); err == nil { // or it never returns
		t.Error("connected to nothing")
	}
}

// TestDialsAllAddresses: of the addresses that a name has, one that answers is
// enough.
func TestDialsAllAddresses(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	d := &dialer{timeout: natstest.Patience}
	for range 8 { // localhost has ::1 as well, in any order
		conn, err := d.Dial("tcp", net.JoinHostPort("localhost", port))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
}
