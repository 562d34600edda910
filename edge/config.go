package edge

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"
)

// ErrConfig is wrapped by every error that a bad or unknown setting causes.
var ErrConfig = errors.New("edge: configuration")

// Config holds every EDGE_ setting of a node. The tags are the single source
// of the configuration table: `hydrant help config` and the README print them.
// NATS' own settings are [hydrant/bus.Config].
type Config struct {
	Listen      string `default:":5353" desc:"address that WebSocket clients and plain HTTP connect to"`
	AdminListen string `split_words:"true" default:"127.0.0.1:9353" desc:"address of metrics, health, pprof; if the default is taken, a free port is used and logged; empty: none"`
	ServiceName string `split_words:"true" default:"hydra-router" desc:"name by which clients address the edge itself"`

	SessionTTL     time.Duration `split_words:"true" default:"24h" desc:"how long a session outlives its socket"`
	QueueLimit     int           `split_words:"true" default:"1000" unit:"messages" desc:"messages that wait for one session; the oldest beyond it are dropped and reported as a gap"`
	MailboxStreams int           `split_words:"true" default:"16" desc:"streams that share the mailboxes: 1, 2, 4, 8, 16 or 32, the same on every node"`
	StreamReplicas int           `split_words:"true" default:"0" desc:"copies of every mailbox; 0: three in a NATS cluster, else one"`
	Window         int           `default:"256" unit:"messages" desc:"unconfirmed messages on the way to a client of umf.ack.v1"`
	WriteBuffer    Size          `split_words:"true" default:"256KiB" unit:"bytes" desc:"bytes queued for one socket before its session falls behind"`

	MaxMessage               Size          `split_words:"true" default:"1MiB" unit:"bytes" desc:"largest message of a client; above it: close 1009"`
	MaxConnections           int           `split_words:"true" default:"0" desc:"sockets on this node; 0: as many as the descriptor limit allows"`
	MaxConnectionAge         time.Duration `split_words:"true" default:"0s" desc:"age, give or take a tenth, at which a connection is closed 1012 so that clients spread over new nodes; 0: never"`
	MaxConnectionsPerAddress int           `split_words:"true" default:"0" desc:"sockets from one address; 0: no limit"`
	RateMessages             float64       `split_words:"true" default:"0" unit:"messages/s" desc:"messages of one connection; above it: close 4408; 0: no limit"`
	RateBytes                Size          `split_words:"true" default:"0" unit:"bytes/s" desc:"bytes of one connection; above it: close 4408; 0: no limit"`
	PingInterval             time.Duration `split_words:"true" default:"25s" desc:"silence after which a client is pinged; dead after two of them"`
	HandshakeTimeout         time.Duration `split_words:"true" default:"10s" desc:"time for the upgrade request, and for the session to open"`
	WriteTimeout             time.Duration `split_words:"true" default:"30s" desc:"a socket that takes no byte for this long is closed"`
	RequestTimeout           time.Duration `split_words:"true" default:"5s" desc:"time for the answer to a [METHOD] request"`
	DrainGrace               time.Duration `split_words:"true" default:"0s" desc:"time before EDGE_DRAIN_TIMEOUT in which a stopping node is not ready but takes new clients: as long as the load balancer needs to notice"`
	DrainTimeout             time.Duration `split_words:"true" default:"30s" desc:"time over which a stopping node spreads the closes of its clients; fewer than ten a second take less"`
	TrustedProxies           []Prefix      `split_words:"true" desc:"addresses or networks whose X-Forwarded-For is believed, separated by commas"`
	ProxyProtocol            bool          `split_words:"true" default:"false" desc:"expect PROXY protocol v1 or v2 from the trusted proxies"`
	Compression              bool          `default:"false" desc:"offer permessage-deflate, without context takeover"`
	TLSCert                  string        `split_words:"true" desc:"certificate file (PEM) to serve TLS; read again when it changes"`
	TLSKey                   string        `split_words:"true" desc:"key file (PEM) for the certificate"`

	Signature         string        `default:"off" desc:"off, or required: every message must carry a valid signature"`
	SignatureKeys     []string      `split_words:"true" secret:"true" desc:"secrets of the signatures, separated by commas; the first signs, all verify"`
	SignatureKeysFile string        `split_words:"true" desc:"file with the secrets, one a line"`
	SignatureWindow   time.Duration `split_words:"true" default:"0s" desc:"refuse signed messages older or newer than this, and repeated mids, of which a node remembers 262144 for twice as long; 0: off"`

	Auth            string   `default:"none" desc:"who may connect: none, jwt or service"`
	AuthService     string   `split_words:"true" default:"auth-svcs" desc:"service that is asked with EDGE_AUTH=service"`
	AuthAlgorithms  []string `split_words:"true" default:"EdDSA,ES256,RS256" desc:"signature algorithms that a token may use"`
	AuthKeyFile     string   `split_words:"true" desc:"key of the tokens: PEM public key, or the HMAC secret for HS256/384/512"`
	AuthJwksUrl     string   `split_words:"true" desc:"address of the JSON Web Key Set, instead of a key file; read again every minute"`
	AuthIssuer      string   `split_words:"true" desc:"required iss of a token; empty: any"`
	AuthAudience    string   `split_words:"true" desc:"required aud of a token; empty: any"`
	AuthCookie      string   `split_words:"true" default:"access_token" desc:"cookie that may carry the token"`
	Resume          string   `default:"open" desc:"open: a session id is enough to resume a plain session; token: the secret of the welcome is needed"`
	AllowedOrigins  []string `split_words:"true" desc:"further browser origins (scheme://host[:port]) that may connect, or *; the own host always may"`
	RouterAPI       string   `split_words:"true" default:"open" desc:"open: every client may read version, health, nodes, services, routes, stats; admin: nobody without the token"`
	AdminToken      string   `split_words:"true" secret:"true" desc:"bearer token for the administrators' part of the router API"`
	AdminTokenFile  string   `split_words:"true" desc:"file with the token"`
	LogLevel        string   `split_words:"true" default:"info" desc:"debug, info, warn or error"`
	LogFormat       string   `split_words:"true" default:"auto" desc:"text, json, or auto: text on a terminal"`
	DataDir         string   `split_words:"true" default:"hydrant-data" desc:"where the embedded NATS stores its streams"`
	NatsListen      string   `split_words:"true" default:"127.0.0.1:4222" desc:"address of the embedded NATS server"`
	MailboxMaxBytes Size     `split_words:"true" default:"0" unit:"bytes" desc:"disk for the mailboxes, an equal share for each stream; 0: no own limit"`
}

// Size is a number of bytes, written as 1048576, 512KiB, 1MiB, 2GiB, 64KB, 1MB.
type Size int64

// Decode implements envconfig.Decoder.
func (s *Size) Decode(text string) error {
	units := []struct {
		suffix string
		factor int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1}}
	text = strings.TrimSpace(text)
	for _, unit := range units {
		digits, ok := strings.CutSuffix(text, unit.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/unit.factor {
			return fmt.Errorf("%q is not a size such as 512KiB or 1MiB", text)
		}
		*s = Size(n * unit.factor)
		return nil
	}
	return nil
}

// Prefix is an address or a network.
type Prefix netip.Prefix

// Decode implements envconfig.Decoder.
func (p *Prefix) Decode(text string) error {
	text = strings.TrimSpace(text)
	prefix, err := netip.ParsePrefix(text)
	if addr, addrErr := netip.ParseAddr(text); addrErr == nil {
		prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil {
		return fmt.Errorf("%q is neither an address nor a network", text)
	}
	// Peers' addresses are IPv4 however they come, and would not be in ::ffff:0:0/96.
	const mapped = 96
	if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= mapped {
		prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-mapped)
	}
	*p = Prefix(prefix.Masked())
	return nil
}

// LoadConfig reads the EDGE_ variables of the process. Unknown EDGE_ variables
// and bad values are errors that wrap [ErrConfig], one line each.
func LoadConfig() (Config, error) {
	var cfg Config
	var errs []error
	if err := checkUnknown(os.Environ()); err != nil {
		errs = append(errs, err)
	}
	if err := process(&cfg); err != nil {
		errs = append(errs, err)
	}
	if err := cfg.readFiles(); err != nil {
		errs = append(errs, err)
	}
	if err := cfg.check(); err != nil {
		errs = append(errs, err)
	}
	return cfg, errors.Join(errs...)
}

// defaultAdminListen is where administrators find a node that runs alone.
const defaultAdminListen = "127.0.0.1:9353"

// DefaultConfig returns the settings of a node without any EDGE_ variable.
func DefaultConfig() (Config, error) {
	var cfg Config
	err := envconfig.Process("HYDRANT_NO_SUCH_PREFIX", &cfg) // no variable has it, so all defaults apply
	return cfg, err
}

// process reads the variables. envconfig stops at the first bad one; to name
// all of them, each is put aside and the rest is read again.
func process(cfg *Config) error {
	var errs []error
	for {
		err := envconfig.Process("EDGE", cfg)
		if err == nil {
			return errors.Join(errs...)
		}
		errs = append(errs, describe(err))
		var parse *envconfig.ParseError
		if !errors.As(err, &parse) {
			return errors.Join(errs...)
		}
		value, set := os.LookupEnv(parse.KeyName)
		if !set { // the default itself
			return errors.Join(errs...)
		}
		if err := os.Unsetenv(parse.KeyName); err != nil {
			return errors.Join(append(errs, err)...)
		}
		defer os.Setenv(parse.KeyName, value)
	}
}

// describe turns envconfig's error into one line that never shows a secret.
func describe(err error) error {
	var parse *envconfig.ParseError
	if !errors.As(err, &parse) {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	for _, v := range Variables() {
		if v.Name == parse.KeyName && v.Secret {
			return fmt.Errorf("%w: %s: not a valid %s", ErrConfig, parse.KeyName, parse.TypeName)
		}
	}
	return fmt.Errorf("%w: %s: %w", ErrConfig, parse.KeyName, notValid(parse))
}

// notValid says what a value should have looked like. The types of this
// package say it themselves.
func notValid(parse *envconfig.ParseError) error {
	want := map[string]string{
		"time.Duration": "a duration such as 500ms, 25s or 24h",
		"int":           "a whole number",
		"float64":       "a number",
		"bool":          "true or false",
	}[parse.TypeName]
	if want == "" {
		return parse.Err
	}
	return fmt.Errorf("%q is not %s", parse.Value, want)
}

func checkUnknown(environ []string) error {
	known := map[string]bool{}
	for _, v := range Variables() {
		known[v.Name] = true
	}
	var errs []error
	for _, line := range environ {
		name, _, _ := strings.Cut(line, "=")
		if strings.HasPrefix(name, "EDGE_") && !known[name] {
			errs = append(errs, fmt.Errorf("%w: %s is not a setting; see `hydrant help config`", ErrConfig, name))
		}
	}
	return errors.Join(errs...)
}

// readFiles takes the secrets from the files that the _FILE settings name.
func (c *Config) readFiles() error {
	if c.SignatureKeysFile != "" {
		text, err := os.ReadFile(c.SignatureKeysFile)
		if err != nil {
			return fmt.Errorf("%w: EDGE_SIGNATURE_KEYS_FILE: %w", ErrConfig, err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimRight(line, "\r\n"); line != "" {
				c.SignatureKeys = append(c.SignatureKeys, line)
			}
		}
	}
	if c.AdminTokenFile != "" {
		text, err := os.ReadFile(c.AdminTokenFile)
		if err != nil {
			return fmt.Errorf("%w: EDGE_ADMIN_TOKEN_FILE: %w", ErrConfig, err)
		}
		if c.AdminToken = strings.TrimSpace(string(text)); c.AdminToken == "" {
			return fmt.Errorf("%w: EDGE_ADMIN_TOKEN_FILE: is empty: no token would be asked for", ErrConfig)
		}
	}
	return nil
}

// sampleSecret stands in the published examples of the original: a node that
// runs with it would accept anybody's signature.
const sampleSecret = "d632dd6d-fb75-44cc-bdbf-ee1364f3716c"

// Level returns the log level.
func (c *Config) Level() slog.Level {
	level, _ := parseLevel(c.LogLevel) // check has refused what it does not know
	return level
}

// Variable describes one setting, for the configuration table.
type Variable struct {
	Name, Default, Unit, Text string
	Secret                    bool
}

// Variables lists the EDGE_ settings in the order of the table.
func Variables() []Variable { return Describe("EDGE", &Config{}) }

// Describe lists the settings that an envconfig struct declares. spec is a
// pointer to a struct without nested structs; its tags are default, desc, unit
// and secret.
func Describe(prefix string, spec any) []Variable {
	var names strings.Builder
	if err := envconfig.Usagef(prefix, spec, &names, "{{range .}}{{usage_key .}}\n{{end}}"); err != nil {
		panic(err) // spec is not a pointer to a struct: a mistake in the caller
	}
	t := reflect.TypeOf(spec).Elem()
	var list []Variable
	for name := range strings.Lines(names.String()) {
		f := t.Field(len(list))
		v := Variable{
			Name:    strings.TrimSpace(name),
			Default: f.Tag.Get("default"),
			Unit:    f.Tag.Get("unit"),
			Text:    f.Tag.Get("desc"),
			Secret:  f.Tag.Get("secret") == "true",
		}
		if v.Unit == "" && f.Type == reflect.TypeFor[time.Duration]() {
			v.Unit = "duration"
		}
		list = append(list, v)
	}
	return list
}
