package bus

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/local"
	"hydrant/bus/scheme"
)

// Config says how to reach NATS. Its variables carry NATS' own names, without
// a prefix: process it with envconfig.Process("", &cfg). Files are read again at
// every connect, so that what is in them may be replaced at any time.
type Config struct {
	URL          string `envconfig:"NATS_URL" desc:"servers, comma separated; empty: NATS inside the process; tools and services: that of EDGE_DATA_DIR"`
	Creds        string `envconfig:"NATS_CREDS" desc:"file with user JWT and seed"`
	NKey         string `envconfig:"NATS_NKEY" desc:"file with an nkey seed"`
	User         string `envconfig:"NATS_USER"`
	Password     string `envconfig:"NATS_PASSWORD"`
	PasswordFile string `envconfig:"NATS_PASSWORD_FILE" desc:"file that holds the password"`
	CA           string `envconfig:"NATS_CA" desc:"file with root certificates (PEM)"`
	Cert         string `envconfig:"NATS_CERT" desc:"file with a client certificate (PEM)"`
	Key          string `envconfig:"NATS_KEY" desc:"file with its private key (PEM)"`
	InboxPrefix  string `envconfig:"NATS_INBOX_PREFIX" desc:"what subjects of answers begin with; empty: _INBOX_ and the user's name, without a user _INBOX; nodes have _INBOX_edge"`
}

// Times and bounds of a connection.
const (
	// BlockTimeout is how long a call that publishes or subscribes may block.
	// nats.go writes to its socket, and shakes hands with a server that it
	// reconnects to, under the lock that every call takes. A server that has
	// stopped reading (frozen, or cut off without a reset) so holds callers up
	// for that long once, until the connection counts as broken; and again at
	// each attempt to reconnect to one that accepts connections and then says
	// nothing. In between, calls return at once. Contexts do not shorten this.
	BlockTimeout = 2 * time.Second
	// ReconnectBuffer bounds what is kept while there is no server; more is
	// refused with nats.ErrReconnectBufExceeded.
	ReconnectBuffer = 1 << 20

	pingInterval  = 5 * time.Second
	maxPingsOut   = 2
	reconnectWait = 250 * time.Millisecond
	reconnectJit  = 500 * time.Millisecond
)

// Connect connects to NATS and keeps the connection while nats.go can: it
// reconnects without limit, spread by jitter, also to a server that refuses it for
// now, with the credentials that the files hold then, and notices a silent server in
// at most about 15 s. name is shown in the server's connection list. opts come last
// and so override what Connect sets; nats.RetryOnFailedConnect(true) makes it
// return although no server is there yet.
//
// Some errors of the server end a connection for good, whatever its options: those
// that nats.go does not know, such as a message over a max_payload that was
// lowered. nats.ClosedHandler and [Service.Run] tell of that; a new connection is
// to be made, or the process to end.
//
// A program on the machine of a node with NATS inside needs no credentials: see
// [Config.As].
func Connect(cfg Config, name string, opts ...nats.Option) (*nats.Conn, error) {
	cfg = cfg.As(scheme.UserService)
	all := []nats.Option{
		nats.Name(name),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // or the second refusal in a row closes it for good
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJit, reconnectJit),
		nats.Timeout(BlockTimeout),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPingsOut),
		nats.FlusherTimeout(BlockTimeout),
		nats.ReconnectOnFlusherError(),
		nats.ReconnectBufSize(ReconnectBuffer),
		nats.SkipHostLookup(), // dial does it
	}
	if prefix := cmp.Or(cfg.InboxPrefix, scheme.InboxPrefix(cfg.user())); prefix != "" {
		all = append(all, nats.CustomInboxPrefix(prefix))
	}
	dial := &dialer{timeout: BlockTimeout}
	all = append(all, nats.SetCustomDialer(dial))
	own, err := cfg.options(dial)
	if err != nil {
		return nil, err
	}
	all = append(append(all, own...), opts...)
	addresses := cfg.URL
	if addresses == "" {
		addresses = nats.DefaultURL
	}
	if err := checkURL(addresses); err != nil {
		return nil, err
	}
	// What no server can change is told apart from a server that is not there.
	scratch := nats.GetDefaultOptions()
	for _, opt := range all {
		if err := opt(&scratch); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	nc, err := nats.Connect(addresses, all...)
	if errors.Is(err, nats.ErrAuthorization) && cfg.user() == "" && cfg.Creds == "" && cfg.NKey == "" {
		return nil, fmt.Errorf("bus: connect to NATS at %s: %w: where it is inside a node, set EDGE_DATA_DIR to that node's, or NATS_URL to what it has printed", jet.Redacted(addresses), err)
	}
	if err != nil {
		return nil, fmt.Errorf("bus: connect to NATS at %s: %w", jet.Redacted(addresses), err)
	}
	dial.conn.Store(nc)
	return nc, nil
}

// user is the name of the user that NATS_USER, or else NATS_URL, says; empty: neither.
func (c *Config) user() string {
	if c.User != "" {
		return c.User
	}
	for address := range strings.SplitSeq(c.URL, ",") {
		if u, err := jet.ParseAddress(address); err == nil && u.User != nil {
			if _, named := u.User.Password(); named { // else it is a token
				return u.User.Username()
			}
		}
	}
	return ""
}

// As returns the configuration with which a program on this machine connects to the NATS
// server inside a node, as one of its users: where NATS_URL is that server's, or empty,
// the password is in the directory of EDGE_DATA_DIR. Where there are credentials, or it
// is another server, it is c. [Connect] does this for services.
func (c Config) As(user string) Config {
	if c.Creds != "" || c.NKey != "" || c.User != "" || c.Password != "" || c.PasswordFile != "" {
		return c
	}
	dir := local.Dir()
	own, err := local.Address(dir)
	if err != nil {
		return c
	}
	for address := range strings.SplitSeq(cmp.Or(c.URL, own), ",") {
		if !local.Same(strings.TrimSpace(address), own) {
			return c
		}
	}
	file := local.PasswordFile(dir, user)
	if _, err := os.Stat(file); err != nil {
		return c
	}
	c.URL, c.User, c.PasswordFile = cmp.Or(c.URL, own), user, file
	return c
}

// At returns the configuration for one more address of the same servers, such as
// nats.go learns of from them: those are without the name and the password that
// NATS_URL may hold.
func (c Config) At(address string) Config {
	u, err := jet.ParseAddress(address)
	if err == nil && u.User == nil {
		for known := range strings.SplitSeq(c.URL, ",") {
			if k, err := jet.ParseAddress(known); err == nil && k.User != nil {
				u.User = k.User
				address = u.String()
				break
			}
		}
	}
	c.URL = address
	return c
}

// Redacted is NATS_URL, or the address of a connection, for logs: without
// passwords, and without tokens, which stand where a user's name does and which
// nats.go's own redaction leaves in.
func Redacted(addresses string) string { return jet.Redacted(addresses) }

// checkURL refuses what can be no address of a server. The text may hold a
// password, and so is not repeated.
func checkURL(addresses string) error {
	for i, address := range strings.Split(addresses, ",") {
		u, err := jet.ParseAddress(address)
		if err != nil || u.Hostname() == "" {
			return fmt.Errorf("%w: NATS_URL: address %d is not of the form nats://host:4222", ErrConfig, i+1)
		}
		switch u.Scheme {
		case "nats", "tls", "ws", "wss":
		default:
			return fmt.Errorf("%w: NATS_URL: address %d: %s:// is none of nats://, tls://, ws://, wss://", ErrConfig, i+1, u.Scheme)
		}
	}
	return nil
}

// options turns the settings into nats.go's. What is missing or contradictory
// is reported here, by the variable's name, and never with a secret's value.
func (c *Config) options(dial *dialer) ([]nats.Option, error) {
	var opts []nats.Option
	password, err := c.password()
	if err != nil {
		return nil, err
	}
	ways := 0
	if c.Creds != "" {
		ways++
		if _, err := os.Stat(c.Creds); err != nil {
			return nil, fmt.Errorf("%w: NATS_CREDS: %w", ErrConfig, err)
		}
		opts = append(opts, nats.UserCredentials(c.Creds)) // reads it at every connect
	}
	if c.NKey != "" {
		ways++
		opt, err := nats.NkeyOptionFromSeed(c.NKey) // signs with what the file holds then
		if err != nil {
			return nil, fmt.Errorf("%w: NATS_NKEY: %w", ErrConfig, err)
		}
		opts, dial.nkey = append(opts, opt), c.publicKey
	}
	switch {
	case c.User != "":
		ways++
		opts = append(opts, nats.UserInfoHandler(c.userInfo(password)))
	case password != "":
		return nil, fmt.Errorf("%w: NATS_PASSWORD without NATS_USER", ErrConfig)
	}
	if ways > 1 {
		return nil, fmt.Errorf("%w: more than one of NATS_CREDS, NATS_NKEY, NATS_USER", ErrConfig)
	}
	if c.CA != "" {
		if _, err := os.Stat(c.CA); err != nil {
			return nil, fmt.Errorf("%w: NATS_CA: %w", ErrConfig, err)
		}
		opts = append(opts, nats.RootCAs(c.CA))
	}
	if (c.Cert == "") != (c.Key == "") {
		return nil, fmt.Errorf("%w: NATS_CERT and NATS_KEY belong together", ErrConfig)
	}
	if c.Cert != "" {
		opts = append(opts, nats.ClientCert(c.Cert, c.Key))
	}
	return opts, nil
}

// userInfo returns nats.go's question for user and password, which it asks at every
// connect. A file that cannot be read, or is empty, is being replaced: what it held
// last counts.
func (c *Config) userInfo(password string) nats.UserInfoCB {
	var last atomic.Pointer[string]
	last.Store(&password)
	return func() (string, string) {
		if now, err := c.password(); err == nil && now != "" {
			last.Store(&now)
		}
		return c.User, *last.Load()
	}
}

// password is the secret itself, or the content of the file that holds it,
// less the newline that editors and `echo` leave.
func (c *Config) password() (string, error) {
	if c.PasswordFile == "" {
		return c.Password, nil
	}
	if c.Password != "" {
		return "", fmt.Errorf("%w: both NATS_PASSWORD and NATS_PASSWORD_FILE", ErrConfig)
	}
	b, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("%w: NATS_PASSWORD_FILE: %w", ErrConfig, err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// publicKey is that of the seed which the nkey's file holds.
func (c *Config) publicKey() (string, error) {
	opt, err := nats.NkeyOptionFromSeed(c.NKey)
	if err != nil {
		return "", err
	}
	var o nats.Options
	err = opt(&o)
	return o.Nkey, err
}
