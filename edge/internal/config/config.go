// Package config reads the settings of a node from the environment, checks them,
// and describes them for the configuration table. It also reads the limits of the
// process that bound a node where no setting does: memory and descriptors.
//
// Settings that take one of a few words are closed types here (see [Auth] and
// its like), so that a mistyped one does not compile, and whoever compares them
// names a constant. Rejected: types of strings. A program that embeds a node and
// writes Auth = "jtw" would run one that asks for no token.
package config

import (
	"errors"
	"time"
)

// ErrConfig is wrapped by every error that a bad or unknown setting causes.
var ErrConfig = errors.New("edge: configuration")

// Config holds every EDGE_ setting of a node. The tags are the single source
// of the configuration table: `hydrant help config` and deploy/README.md print them.
// NATS' own settings are [hydrant/bus.Config].
//
// It is one flat struct, however many fields it has: envconfig takes the name of
// a variable from the name of its field, and the table has the fields' order.
type Config struct {
	Listen      string `default:":5353" desc:"address that WebSocket clients and plain HTTP connect to"`
	AdminListen string `split_words:"true" default:"127.0.0.1:9353" desc:"address of metrics, health, pprof; if the default is taken, a free port is used and logged; empty: none"`
	ServiceName string `split_words:"true" default:"hydra-router" desc:"name by which clients address the edge itself"`

	SessionTTL     time.Duration `split_words:"true" default:"24h" desc:"how long a session outlives its socket"`
	QueueLimit     int           `split_words:"true" default:"1000" unit:"messages" desc:"messages that wait for one session; the oldest beyond it are dropped and reported as a gap"`
	QueueBytes     Size          `split_words:"true" default:"16MiB" unit:"bytes" desc:"bytes that wait for one session, as far as one client may fill them: a tenth, as of EDGE_QUEUE_LIMIT; above it: error overload"`
	Linger         time.Duration `default:"2m" desc:"how long a node keeps in memory what comes for a session that it has parked, for the node that the session goes to; 0: not at all"`
	LingerBytes    Size          `split_words:"true" default:"64MiB" unit:"bytes" desc:"memory of this node for that; what does not fit is read from the store"`
	MailboxStreams int           `split_words:"true" default:"16" desc:"streams that share the mailboxes: 1, 2, 4, 8, 16 or 32, the same on every node"`
	QueueServices  []Service     `split_words:"true" desc:"services whose work queues this node registers, separated by commas, where its user of NATS may; work for services that have none is refused"`
	StreamReplicas int           `split_words:"true" default:"0" desc:"copies of every mailbox; 0: three in a NATS cluster, else one"`
	Window         int           `default:"256" unit:"messages" desc:"unconfirmed messages on the way to a client of umf.ack.v1"`
	WriteBuffer    Size          `split_words:"true" default:"256KiB" unit:"bytes" desc:"bytes queued for one socket before its session falls behind"`

	MaxMessage               Size          `split_words:"true" default:"1MiB" unit:"bytes" desc:"largest body of a client's message, beside which the rest may take 32 KiB; above it: close 1009, over HTTP 413"`
	MaxHead                  Size          `split_words:"true" default:"16KiB" unit:"bytes" desc:"largest head of a request, with its cookies; above it: 431"`
	MaxConnections           int           `split_words:"true" default:"0" desc:"sockets on this node; 0: as many as the descriptor limit allows"`
	MaxConnectionAge         time.Duration `split_words:"true" default:"0s" desc:"age, give or take a tenth, at which a connection is closed 1012 so that clients spread over new nodes; 0: never"`
	MaxConnectionsPerAddress int           `split_words:"true" default:"0" desc:"sockets from one address; 0: no limit"`
	RateMessages             float64       `split_words:"true" default:"2000" unit:"messages/s" desc:"messages of one connection, five seconds' worth of them at once; ten times as many of one identity, and fifty times of one address, POST included; above it: close 4408, or 429; 0: no limit"`
	RateBytes                Size          `split_words:"true" default:"16MiB" unit:"bytes/s" desc:"bytes of one connection, inflated ones too; else as EDGE_RATE_MESSAGES"`
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

	Signature         Signature     `default:"off" desc:"off, or required: every message must carry a valid signature"`
	SignatureKeys     []string      `split_words:"true" secret:"true" desc:"secrets of the signatures, separated by commas; the first signs, all verify"`
	SignatureKeysFile string        `split_words:"true" desc:"file with the secrets, one a line"`
	SignatureWindow   time.Duration `split_words:"true" default:"0s" desc:"refuse signed messages older or newer than this, and repeated ones: a node remembers 262144 mids for twice as long, and NATS a key of each message for all nodes; 0: off"`
	SignatureFrom     SignatureFrom `split_words:"true" default:"any" desc:"any: old clients may sign a from that names no session, such as client:/, so that a copy is good on any connection; session: every signed message names its own session, and none can be posted"`

	Auth           Auth       `default:"none" desc:"who may connect: none, jwt or service"`
	AuthService    string     `split_words:"true" default:"auth-svcs" desc:"service that is asked with EDGE_AUTH=service"`
	AuthAlgorithms []string   `split_words:"true" default:"EdDSA,ES256,RS256" desc:"signature algorithms that a token may use"`
	AuthKeyFile    string     `split_words:"true" desc:"key of the tokens: PEM public key, or the HMAC secret for HS256/384/512"`
	AuthJwksUrl    string     `split_words:"true" desc:"address of the JSON Web Key Set, instead of a key file; read again every minute"`
	AuthIssuer     string     `split_words:"true" desc:"required iss of a token; empty: any"`
	AuthAudience   string     `split_words:"true" desc:"required aud of a token; empty: any"`
	AuthExpiry     Expiry     `split_words:"true" default:"required" desc:"required, or optional: a token without exp counts, and holds for ever"`
	AuthCookie     string     `split_words:"true" default:"access_token" desc:"cookie that may carry the token"`
	Policy         string     `desc:"rule set of clients whose token or authentication service gives them none, as JSON; empty: all services but EDGE_AUTH_SERVICE, all queues, all sessions"`
	Resume         Resume     `default:"open" desc:"open: an id is enough to resume an old client's session that has no connection, or a silent one; token: the secret of the welcome is needed"`
	AllowedOrigins []Origin   `split_words:"true" desc:"further browser origins that may connect: scheme://host[:port], where host may begin with *., loopback, or *; the own host always may"`
	RouterAPI      RouterAPI  `split_words:"true" default:"open" desc:"open: every client may read version, health, nodes, services, routes, stats; admin: nobody without the token"`
	HttpApi        HTTPAPI    `split_words:"true" default:"open" desc:"the router API and POST on the clients' port: open: to those who may connect, with EDGE_AUTH by the same credentials; key: to keys of EDGE_HTTP_KEYS_FILE; off: to nobody (404)"`
	HttpKeysFile   string     `split_words:"true" desc:"file with a name, a key as bearer token and a rule set in each line"`
	AdminToken     string     `split_words:"true" secret:"true" desc:"bearer token of administrators: for their part of the router API, and for all of their listener but health and metrics; without one these alone are answered there, unless nobody but this machine reaches it"`
	AdminTokenFile string     `split_words:"true" desc:"file with the token"`
	AdminHosts     []HostName `split_words:"true" desc:"names under which the administrators' listener is asked, beside localhost, addresses and that of EDGE_ADMIN_LISTEN; under any other it answers 421"`
	LogLevel       Level      `split_words:"true" default:"info" desc:"debug, info, warn or error"`
	LogFormat      LogFormat  `split_words:"true" default:"auto" desc:"text, json, or auto: text on a terminal"`
	DataDir        string     `split_words:"true" default:"hydrant-data" desc:"where the embedded NATS stores its streams, its passwords and its address"`
	NatsListen     string     `split_words:"true" default:"127.0.0.1:4222" desc:"address of the embedded NATS server, which asks for a password"`
	StoreBytes     Size       `split_words:"true" default:"0" unit:"bytes" desc:"disk for each copy of all that is stored: mailboxes 70 %, work 15 %, sessions 15 %; 0: when the streams are made, half of what is free where NATS is inside the process, else 8GiB, or what the account allows"`

	HttpKeys []HTTPKey `ignored:"true"` // of HttpKeysFile; the last field, since it is in no table
}

// DefaultAdminListen is where administrators find a node that runs alone.
const DefaultAdminListen = "127.0.0.1:9353"

// envelopeRoom is for all of a client's message but its body.
const envelopeRoom = 32 << 10

// MaxFrame is the largest message of a client with all its fields.
func (c *Config) MaxFrame() int64 { return int64(c.MaxMessage) + envelopeRoom }
