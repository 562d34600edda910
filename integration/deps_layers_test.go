package integration

// A layer is what a package may import beyond the standard library. An entry
// that ends in "/..." stands for everything under it, too.
type layer struct {
	path   string              // of the package; "/..." for a tree
	allow  []string            // in all its files
	tests  []string            // in its tests as well
	names  map[string][]string // of an allowed package only these names
	forbid []string            // of the standard library
	why    string
}

// Third parties, by what they are for.
const (
	natsClient    = "github.com/nats-io/nats.go/..."
	natsServer    = "github.com/nats-io/nats-server/v2/..."
	prometheusLib = "github.com/prometheus/client_golang/..."
	otelLib       = "go.opentelemetry.io/otel/..."
	envconfigLib  = "github.com/kelseyhightower/envconfig"
	jwtLib        = "github.com/golang-jwt/jwt/v5"
	jwtKeysLib    = "github.com/MicahParks/jwkset"
	idnaLib       = "golang.org/x/net/idna"
	rateLib       = "golang.org/x/time/rate"
	coderLib      = "github.com/coder/websocket/..."
	openAPILib    = "github.com/pb33f/..."
)

// The parts of Hydrant.
const (
	umfFormat    = "hydrant/umf"
	busKit       = "hydrant/bus"
	busScheme    = "hydrant/bus/scheme"
	busStore     = "hydrant/bus/store"
	busDiscovery = "hydrant/bus/discovery"
	busTrace     = "hydrant/bus/tracectx"
	busJet       = "hydrant/bus/internal/jet"
	busServers   = "hydrant/bus/internal/natstest"
	busEmbedded  = "hydrant/bus/embedded"
	busLocal     = "hydrant/bus/local"
	busAccounts  = "hydrant/bus/accounts"

	edgeNode      = "hydrant/edge"
	edgeConfig    = "hydrant/edge/internal/config"
	edgeProtocol  = "hydrant/edge/internal/protocol"
	edgeStats     = "hydrant/edge/internal/stats"
	edgeRedact    = "hydrant/edge/internal/redact"
	edgeAccess    = "hydrant/edge/internal/access"
	edgePolicy    = "hydrant/edge/internal/policy"
	edgeQuota     = "hydrant/edge/internal/quota"
	edgeOwnership = "hydrant/edge/internal/ownership"
	edgeTakeover  = "hydrant/edge/internal/takeover"
	edgeTail      = "hydrant/edge/internal/tail"
	edgeCrowd     = "hydrant/edge/internal/crowd"
	edgeEgress    = "hydrant/edge/internal/egress"
	edgeShard     = "hydrant/edge/internal/shard"
	edgeAPI       = "hydrant/edge/internal/api"
	edgeSession   = "hydrant/edge/internal/session"
	edgeWire      = "hydrant/edge/internal/wire"
	edgeMutate    = "hydrant/edge/internal/mutate"
	edgeSizing    = "hydrant/edge/internal/sizing"
	edgeCommand   = "hydrant/edge/cmd/hydrant"
	edgeDemoPage  = "hydrant/edge/cmd/hydrant/internal/page"
	edgeClient    = "hydrant/edge/client"
	edgeClientJS  = "hydrant/edge/client/js"

	testHarness = "hydrant/integration/harness"
)

// everyTest may be imported by every package's tests.
var everyTest = []string{"go.uber.org/goleak", "pgregory.net/rapid"}

// besideBus is for the tests of a part of bus: a real server, and the other
// parts, to see from their side what this one did.
var besideBus = []string{natsServer, natsClient, "github.com/nats-io/nkeys", "github.com/nats-io/jwt/v2", umfFormat, "hydrant/bus/...", otelLib, envconfigLib}

// besideEdge is for the tests of a part of the edge that speaks to NATS.
var besideEdge = []string{busEmbedded, busKit, natsServer, "hydrant/integration/harness/..."}

// impure is what a package that only decides leaves to those that perform.
var impure = []string{"net", "net/...", "os", "os/...", "io/...", "sync/atomic", "context", "log", "log/...",
	"math/rand", "math/rand/...", "crypto/...", "runtime", "runtime/...", "unsafe"}

// layers is the allow-list. The first entry that fits a package holds. A
// package that has an entry need not be there yet.
var layers = []layer{
	{
		path: umfFormat,
		why:  "the message format is for every program: the standard library only",
	},
	{
		path:  busScheme,
		tests: besideBus,
		why:   "the scheme on NATS is names and their forms, which need neither NATS nor any part of Hydrant",
	},
	{
		path:  busJet,
		allow: []string{busScheme, natsClient},
		tests: besideBus,
		why:   "JetStream as we ask it knows no session and no service, only how subjects are written",
	},
	{
		path:  busServers,
		allow: []string{busScheme, busEmbedded, natsClient, natsServer},
		why:   "bus's tests start their servers with it, and so it has none of what they test",
	},
	{
		path:  busTrace,
		allow: []string{natsClient, otelLib},
		tests: besideBus,
		why:   "a trace in NATS headers is NATS' and OpenTelemetry's matter alone",
	},
	{
		path:  busDiscovery,
		allow: []string{busScheme, busJet, natsClient},
		tests: besideBus,
		why:   "who is connected is asked on subjects; neither the store nor the kit is needed for it",
	},
	{
		path:  busStore,
		allow: []string{busScheme, busJet, busTrace, natsClient, otelLib},
		tests: besideBus,
		why:   "the store is for nodes, the kit for services: a service must not get the one with the other",
	},
	{
		path:  busAccounts,
		allow: []string{busScheme, natsServer},
		tests: besideBus,
		why:   "who may do what follows from the scheme; of nats-server it has the parser of configurations",
	},
	{
		path: busLocal,
		why:  "where NATS on this machine is, and its passwords, are files: whoever connects reads them, whatever it connects with",
	},
	{
		path:  busEmbedded,
		allow: []string{busScheme, busLocal, natsClient, natsServer, "github.com/gofrs/flock"},
		tests: []string{busKit},
		why:   "the server in the process is the only use of nats-server outside the tests, but for a parser",
	},
	{
		path:  busKit,
		allow: []string{umfFormat, busScheme, busJet, busTrace, busLocal, natsClient, otelLib, envconfigLib},
		tests: besideBus,
		why:   "the kit for services knows NATS and messages, and never the nodes' store, websockets or the edge",
	},
	{
		path: "hydrant/edge/internal/wire/...",
		allow: []string{edgeWire, "github.com/gobwas/ws/...", "github.com/gobwas/httphead", "github.com/gobwas/pool/...",
			"golang.org/x/sys/unix", rateLib, "github.com/pires/go-proxyproto", "github.com/klauspost/compress/..."},
		tests: []string{coderLib},
		why:   "wire knows sockets and RFC 6455, and neither messages nor NATS",
	},
	{
		path:   edgeSession,
		forbid: impure,
		why:    "session is pure: events in, effects out, no net, no NATS, no clock, no goroutine",
	},
	{
		path:   edgeOwnership,
		allow:  []string{busScheme},
		tests:  []string{edgeTail}, // their model packs what is handed over as nodes do
		forbid: impure,
		why:    "ownership decides who has a session, purely; the shard asks NATS for it",
	},
	{
		path: edgeMutate,
		why:  "tests change the files of the package that they stand in, whatever it is",
	},
	{
		path:  edgeTail,
		allow: []string{busScheme},
		why:   "what is kept is bytes and links, and knows neither NATS nor sessions",
	},
	{
		path:  edgeCrowd,
		allow: []string{busScheme, busStore, edgeStats},
		why:   "what is read for many sessions is messages as the store gives them, whoever gets them",
	},
	{
		path:  edgeTakeover,
		allow: []string{busScheme, edgeOwnership, natsClient},
		why:   "takeover is what nodes say to each other of a session; ownership decides, and the shard acts",
	},
	{
		path:  edgeProtocol,
		allow: []string{umfFormat},
		tests: []string{edgeWire},
		why:   "protocol is what a node says to clients and reads from them, without doing anything about it",
	},
	{
		path:   edgePolicy,
		forbid: impure,
		why:    "rules are text and names, whoever sends what",
	},
	{
		path: edgeQuota,
		why:  "what senders take is counted, whoever they are and whatever it is for",
	},
	{
		path:  edgeConfig,
		allow: []string{busKit, busScheme, edgePolicy, envconfigLib, idnaLib},
		tests: []string{natsClient},
		names: map[string][]string{busKit: {"Config"}},
		why:   "settings are read, checked and described, and nothing is started with them",
	},
	{
		path:  edgeStats,
		allow: []string{edgeSession, edgeProtocol, edgePolicy, edgeWire, prometheusLib},
		tests: []string{"github.com/prometheus/client_model/go"},
		why:   "stats counts what the others report, in their terms, and asks none of them",
	},
	{
		path: edgeSizing,
		why:  "what a load needs is arithmetic with measured prices",
	},
	{
		path:  edgeRedact,
		allow: []string{busScheme},
		why:   "what gets into a log is looked through for session ids, whoever logs it",
	},
	{
		path:  edgeAccess,
		allow: []string{umfFormat, edgeConfig, edgeProtocol, edgeWire, busScheme, jwtLib, jwtKeysLib, rateLib},
		tests: []string{"hydrant/integration/harness/...", natsClient},
		names: map[string][]string{edgeWire: {"AddressKey"}},
		why:   "access says who may; it neither knows sockets nor asks NATS",
	},
	{
		path:  edgeEgress,
		allow: []string{busScheme, busStore, edgeStats, busTrace, natsClient, otelLib},
		tests: besideEdge,
		why:   "egress carries what a loop has to say to NATS, and knows neither clients nor sessions",
	},
	{
		path: edgeShard,
		allow: []string{edgeSession, edgeOwnership, edgeTakeover, edgeTail, edgeCrowd, edgeProtocol, edgeStats, edgeAccess, edgePolicy, edgeQuota, edgeConfig, edgeEgress, edgeWire, busScheme, busStore, busTrace, umfFormat,
			natsClient, otelLib, rateLib},
		tests: append([]string{prometheusLib}, besideEdge...),
		why:   "a shard owns its clients and sessions; its node hands over all else, and the store only as types and what egress carries out",
	},
	{
		path:  edgeAPI,
		allow: []string{edgeConfig, edgeProtocol, edgeAccess, edgePolicy, edgeQuota, edgeStats, edgeWire, edgeClientJS, busStore, busDiscovery, busScheme, busTrace, umfFormat, natsClient, prometheusLib, otelLib, rateLib},
		tests: append([]string{jwtLib, openAPILib, "github.com/prometheus/client_model/go"}, besideEdge...),
		names: map[string][]string{edgeWire: {"AddressKey", "SharedAddress"}},
		why:   "HTTP and the router's API reach a shard only through what the node hands them",
	},
	{
		path: edgeClientJS,
		why:  "the client is a file that nodes hand out; it knows nothing of them",
	},
	{
		path:  edgeClient,
		allow: []string{umfFormat, coderLib},
		tests: []string{edgeNode, busKit, busEmbedded},
		why:   "the client is for every program: the format and a WebSocket, and nothing of nodes",
	},
	{
		path: edgeNode,
		allow: []string{umfFormat, busKit, busScheme, busStore, busDiscovery, busTrace, edgeConfig, edgeProtocol, edgeStats, edgeRedact, edgeAccess, edgePolicy, edgeQuota, edgeOwnership, edgeTakeover, edgeTail, edgeCrowd, edgeEgress, edgeShard, edgeAPI,
			edgeSession, edgeWire, natsClient, prometheusLib, otelLib, rateLib},
		tests: []string{busEmbedded, natsServer, "hydrant/integration/harness/...", "github.com/prometheus/client_model/go", jwtLib, envconfigLib},
		why:   "a node joins its parts; gobwas is wire's, the tokens are access's, the embedded server is the binary's",
	},
	{
		path: edgeDemoPage,
		why:  "the demo's page is files, and asks whoever serves it to do the rest",
	},
	{
		path:  edgeCommand,
		allow: []string{umfFormat, busKit, busScheme, busStore, busDiscovery, busEmbedded, busAccounts, edgeNode, edgeClient, edgeConfig, edgePolicy, edgeRedact, edgeSizing, edgeDemoPage, natsClient, envconfigLib, prometheusLib, otelLib, "github.com/KimMachineGun/automemlimit/memlimit"},
		why:   "the binary is subcommands and wiring only",
	},
	{
		path:  "hydrant/integration/harness/natsd",
		allow: []string{natsServer},
		why:   "a stock NATS server has nothing of Hydrant in it",
	},
	{
		path:  "hydrant/integration/harness/...",
		allow: []string{testHarness, coderLib, natsClient, "go.uber.org/goleak", "golang.org/x/sys/unix"},
		why:   "the harness judges Hydrant and so shares no code with it",
	},
	{
		path:  "hydrant/integration/...",
		allow: []string{umfFormat, busKit, busScheme, busStore, busDiscovery, busEmbedded, edgeClient, "hydrant/integration/...", coderLib, natsClient, rateLib},
		tests: []string{natsServer, "go.opentelemetry.io/proto/otlp/...", "google.golang.org/protobuf/...", "github.com/chromedp/chromedp/...", "github.com/chromedp/cdproto/..."},
		why:   "black-box tests import public packages only",
	},
}

// An arrow must never be drawn, whatever the allow-list says: who adds it there
// has to come here as well. Tests may look from both sides, so it is about what
// is built.
type arrow struct {
	from, to string   // patterns as in a layer; outside is everything that others have written
	except   []string // of to
	why      string
}

// outside stands for every package that is neither ours nor the standard
// library's.
const outside = "outside"

// ours is every package of the module.
const ours = "hydrant/..."

var never = []arrow{
	{from: umfFormat, to: ours, why: "programs use the format without Hydrant"},
	{from: umfFormat, to: outside, why: "programs use the format without Hydrant"},
	{from: busScheme, to: ours, why: "everything else stands on the scheme"},
	{from: busScheme, to: outside, why: "a client that only writes subjects needs no NATS library"},
	{from: busJet, to: ours, except: []string{busScheme}, why: "it is below the store and the kit"},
	{from: busKit, to: ours, except: []string{umfFormat, busScheme, busJet, busTrace, busLocal}, why: "a service author gets the kit alone"},
	{from: busKit, to: busStore, why: "the kit and the store are for different readers, and share no symbol"},
	{from: busStore, to: busKit, why: "the store and the kit are for different readers, and share no symbol"},
	{from: busStore, to: ours, except: []string{busScheme, busJet, busTrace}, why: "nodes use the store; it knows none of them"},
	{from: "hydrant/bus/...", to: "hydrant/edge/...", why: "bus is below the edge"},
	{from: edgeProtocol, to: ours, except: []string{umfFormat}, why: "words are words, whoever says them"},
	{from: edgePolicy, to: ours, why: "who asks about a message is not its business"},
	{from: edgePolicy, to: outside, why: "rules need nothing but text"},
	{from: edgeQuota, to: ours, why: "it counts, and asks nobody"},
	{from: edgeSession, to: ours, why: "the session is tested by transcripts alone"},
	{from: edgeSession, to: outside, why: "the session is tested by transcripts alone"},
	{from: edgeOwnership, to: ours, except: []string{busScheme}, why: "its model is tested without NATS"},
	{from: edgeOwnership, to: outside, why: "its model is tested without NATS"},
	{from: edgeTakeover, to: ours, except: []string{busScheme, edgeOwnership}, why: "words between nodes, whoever has the session"},
	{from: edgeClient, to: ours, except: []string{umfFormat}, why: "a program that is a client needs no part of a node"},
	{from: edgeShard, to: edgeNode, why: "the node makes its shards; a shard has only what it was handed"},
	{from: edgeShard, to: edgeAPI, why: "who asks over HTTP comes through the node"},
	{from: edgeAPI, to: edgeShard, why: "a handler's goroutine must not touch what a loop owns"},
	{from: edgeAPI, to: edgeNode, why: "the node makes its API"},
	{from: "hydrant/edge/internal/...", to: edgeNode, why: "parts do not know the whole"},
	{from: "hydrant/edge/...", to: "hydrant/integration/...", why: "no test code is shipped"},
	{from: "hydrant/bus/...", to: "hydrant/integration/...", why: "no test code is shipped"},
	{from: "hydrant/integration/harness/...", to: umfFormat, why: "a mistake in the format must not hide itself"},
	{from: "hydrant/integration/harness/...", to: "hydrant/bus/...", why: "a mistake in the scheme must not hide itself"},
	{from: "hydrant/integration/harness/...", to: "hydrant/edge/...", why: "the harness sees a node from outside"},
}

// gobwasOnlyIn names who may import gobwas. (What wire is measured against is
// a module of its own, integration/bench/wire.)
var gobwasOnlyIn = []string{"hydrant/edge/internal/wire/..."}

// pure are the packages that [TestPure] reads.
var pure = []string{edgeSession, edgeOwnership}
