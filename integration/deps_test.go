package integration

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hydrant/integration/harness"
)

// A layer is what a package may import, beyond the standard library. An entry
// that ends in "/..." stands for everything under it.
type layer struct {
	path   string   // of the package; "/..." for a tree
	allow  []string // in all its files
	tests  []string // in its tests as well
	forbid []string // of the standard library
	why    string
}

// everyTest may be imported by every package's tests.
var everyTest = []string{"go.uber.org/goleak", "pgregory.net/rapid"}

// pure is what a package does not import that has no net, clock or goroutine.
var pure = []string{"net", "net/...", "os", "os/...", "io/...", "sync/atomic", "context", "log", "log/...",
	"math/rand", "math/rand/...", "crypto/...", "runtime", "runtime/...", "unsafe"}

// layers is the allow-list. The first entry that fits a package holds.
var layers = []layer{
	{
		path: "hydrant/umf",
		why:  "the message format is for everybody: the standard library only",
	},
	{
		path:  "hydrant/bus/scheme",
		tests: []string{"hydrant/bus/...", "github.com/nats-io/nats.go/...", "github.com/nats-io/nats-server/v2/..."},
		why:   "the scheme is names and forms of data: the standard library only",
	},
	{
		path:  "hydrant/bus/tracectx",
		allow: []string{"github.com/nats-io/nats.go", "go.opentelemetry.io/otel/..."},
		why:   "a trace in NATS headers, for the kit, nodes and the store",
	},
	{
		path:  "hydrant/bus/internal/jet",
		allow: []string{"hydrant/bus/scheme", "github.com/nats-io/nats.go/..."},
		tests: []string{"hydrant/bus/internal/natstest"},
		why:   "JetStream as we ask it serves the store and the kit, and knows neither",
	},
	{
		path: "hydrant/bus/internal/natstest",
		allow: []string{"hydrant/bus/scheme", "hydrant/bus/embedded", "github.com/nats-io/nats.go",
			"github.com/nats-io/nats-server/v2/..."},
		why: "what tests share imports nothing that they test",
	},
	{
		path: "hydrant/bus/store",
		allow: []string{"hydrant/bus/scheme", "hydrant/bus/internal/jet", "hydrant/bus/tracectx",
			"github.com/nats-io/nats.go/..."},
		tests: []string{"hydrant/bus", "hydrant/bus/embedded", "hydrant/bus/internal/natstest", "github.com/nats-io/nats-server/v2/..."},
		why:   "the store is for nodes, and shares nothing with the kit but jet and the scheme",
	},
	{
		path: "hydrant/bus/discovery",
		allow: []string{"hydrant/bus/scheme", "hydrant/bus/internal/jet",
			"github.com/nats-io/nats.go/..."},
		tests: []string{"hydrant/bus", "hydrant/bus/internal/natstest"},
		why:   "who is connected is asked of NATS, and neither of the store nor of the kit",
	},
	{
		path:  "hydrant/bus/embedded",
		allow: []string{"github.com/nats-io/nats.go/...", "github.com/nats-io/nats-server/v2/...", "github.com/gofrs/flock"},
		why:   "the server in the process is the only use of nats-server outside the tests",
	},
	{
		path: "hydrant/bus",
		allow: []string{"hydrant/umf", "hydrant/bus/scheme", "hydrant/bus/internal/jet", "hydrant/bus/tracectx",
			"github.com/nats-io/nats.go/...", "go.opentelemetry.io/otel/..."},
		tests: []string{"hydrant/bus/store", "hydrant/bus/embedded", "hydrant/bus/internal/natstest",
			"github.com/kelseyhightower/envconfig", "github.com/nats-io/nats-server/v2/..."},
		why: "the kit for services knows NATS and umf, and never the store, websockets or the edge",
	},
	{
		path: "hydrant/edge/internal/wire/...",
		allow: []string{"hydrant/edge/internal/wire", "github.com/gobwas/ws/...", "github.com/gobwas/httphead", "github.com/gobwas/pool/...",
			"golang.org/x/sys/unix", "golang.org/x/time/rate", "github.com/pires/go-proxyproto", "github.com/klauspost/compress/..."},
		tests: []string{"github.com/coder/websocket/..."},
		why:   "wire knows sockets and RFC 6455, and neither messages nor NATS",
	},
	{
		path:   "hydrant/edge/internal/session",
		forbid: pure,
		why:    "session is pure: events in, effects out, no net, no NATS, no clock, no goroutine",
	},
	{
		path:   "hydrant/edge/internal/protocol",
		allow:  []string{"hydrant/umf"},
		tests:  []string{"hydrant/edge/internal/wire"},
		forbid: pure,
		why:    "protocol is pure: bytes in, bytes out, no net, no NATS, no clock, no goroutine",
	},
	{
		path: "hydrant/edge/internal/stats",
		allow: []string{"hydrant/edge/internal/protocol", "hydrant/edge/internal/session", "hydrant/edge/internal/wire",
			"github.com/prometheus/client_golang/..."},
		tests: []string{"github.com/prometheus/client_model/go"},
		why:   "stats counts for loops and node, and knows neither them nor NATS",
	},
	{
		path: "hydrant/edge/internal/access",
		allow: []string{"hydrant/umf", "hydrant/edge/internal/wire", "github.com/golang-jwt/jwt/v5", "github.com/MicahParks/keyfunc/v3",
			"golang.org/x/time/rate"},
		tests: []string{"hydrant/integration/harness"},
		why:   "access decides who may connect from a few strings: of wire it needs what counts as one address, and of NATS nothing",
	},
	{
		path:  "hydrant/edge/internal/config",
		allow: []string{"hydrant/bus", "github.com/kelseyhightower/envconfig"},
		tests: []string{"github.com/nats-io/nats.go/micro"},
		why:   "config reads and checks settings, and needs of bus only the names and numbers that NATS takes",
	},
	{
		path: "hydrant/edge/internal/...",
		allow: []string{"hydrant/umf", "hydrant/bus", "github.com/nats-io/nats.go/...", "github.com/prometheus/client_golang/...",
			"go.opentelemetry.io/otel/..."},
		why: "a part of the edge that is neither wire nor session",
	},
	{
		path: "hydrant/edge",
		allow: []string{"hydrant/umf", "hydrant/bus", "hydrant/edge/internal/...", "github.com/nats-io/nats.go/...",
			"github.com/prometheus/client_golang/...", "github.com/prometheus/client_model/go", "go.opentelemetry.io/otel/..."},
		tests: []string{"hydrant/bus/embedded", "hydrant/integration/harness"},
		why:   "a node joins wire, session and bus; gobwas is wire's, the embedded server the binary's",
	},
	{
		path: "hydrant/edge/cmd/hydrant",
		allow: []string{"hydrant/umf", "hydrant/bus", "hydrant/bus/embedded", "hydrant/edge", "hydrant/edge/internal/config",
			"github.com/coder/websocket/...", "github.com/nats-io/nats.go/...", "github.com/kelseyhightower/envconfig", "github.com/prometheus/client_golang/...", "go.opentelemetry.io/otel/...",
			"github.com/KimMachineGun/automemlimit/memlimit"},
		why: "the binary is subcommands and wiring only",
	},
	{
		path:  "hydrant/integration/harness/natsd",
		allow: []string{"github.com/nats-io/nats-server/v2/..."},
		why:   "a stock NATS server has nothing of Hydrant in it",
	},
	{
		path:  "hydrant/integration/harness",
		allow: []string{"github.com/coder/websocket/...", "github.com/nats-io/nats.go/...", "go.uber.org/goleak", "golang.org/x/sys/unix"},
		why:   "the harness judges Hydrant and so shares no code with it",
	},
	{
		path: "hydrant/integration/...",
		allow: []string{"golang.org/x/time/rate", "hydrant/umf", "hydrant/bus", "hydrant/bus/embedded", "hydrant/integration/...",
			"github.com/coder/websocket/...", "github.com/nats-io/nats.go/...", "golang.org/x/time/rate"},
		tests: []string{"github.com/nats-io/nats-server/v2/...", "go.opentelemetry.io/proto/otlp/...", "google.golang.org/protobuf/...",
			"github.com/chromedp/chromedp"},
		why: "black-box tests import public packages only",
	},
}

// gobwasOnlyIn names who may import gobwas. (What wire is measured against is
// a module of its own, integration/bench/wire.)
var gobwasOnlyIn = []string{"hydrant/edge/internal/wire/..."}

// listed is what `go list` says of a package.
type listed struct {
	ImportPath   string
	Dir          string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Standard     bool
}

func packages(t *testing.T) []listed {
	t.Helper()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-tags", "e2e", "-json=ImportPath,Dir,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []listed
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func fits(pattern, path string) bool {
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == tree || strings.HasPrefix(path, tree+"/")
	}
	return pattern == path
}

func fitsAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return fits(pattern, path) })
}

func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".") && first != "hydrant"
}

// TestImports is STYLE's rule: a wrong import fails, with the reason.
func TestImports(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		at := slices.IndexFunc(layers, func(l layer) bool { return fits(l.path, p.ImportPath) })
		if at < 0 {
			t.Errorf("%s is in no layer: add it to the allow-list, with what it is for", p.ImportPath)
			continue
		}
		l := layers[at]
		check := func(imports, allow []string) {
			for _, path := range imports {
				switch {
				case isStandard(path) && fitsAny(l.forbid, path),
					!isStandard(path) && !fitsAny(allow, path) && path != p.ImportPath:
					t.Errorf("%s imports %s: %s", p.ImportPath, path, l.why)
				case strings.HasPrefix(path, "github.com/gobwas/") && !fitsAny(gobwasOnlyIn, p.ImportPath):
					t.Errorf("%s imports %s, which only %s may", p.ImportPath, path, gobwasOnlyIn[0])
				}
			}
		}
		check(p.Imports, l.allow)
		l.forbid = nil // a test of a pure package may read files
		tests := slices.Concat(l.allow, l.tests, everyTest)
		check(p.TestImports, tests)
		check(p.XTestImports, tests)
	}
}

// TestPurePackages looks for what imports cannot show: goroutines, channels,
// and the clock, which hides in package time beside its types.
func TestPurePackages(t *testing.T) {
	t.Parallel()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, name := range []string{"session", "protocol"} {
		some, err := filepath.Glob(filepath.Join(root, "edge/internal", name, "*.go"))
		if err != nil || len(some) == 0 {
			t.Fatalf("no files of %s: %v", name, err)
		}
		files = append(files, some...)
	}
	set := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.ChanType, *ast.SelectStmt, *ast.SendStmt:
				t.Errorf("%s: a goroutine or a channel in a pure package", set.Position(n.Pos()))
			case *ast.SelectorExpr:
				pkg, ok := n.X.(*ast.Ident)
				switch {
				case ok && pkg.Name == "time" && clock[n.Sel.Name]:
					t.Errorf("%s: time.%s in a pure package, which gets the time as an argument", set.Position(n.Pos()), n.Sel.Name)
				case ok && pkg.Name == "sync" && n.Sel.Name != "Pool":
					t.Errorf("%s: sync.%s in a pure package, whose values have one owner", set.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
}

var clock = map[string]bool{"Now": true, "Since": true, "Until": true, "Sleep": true, "After": true, "AfterFunc": true,
	"NewTimer": true, "NewTicker": true, "Tick": true}

// TestTopLevel is STYLE's list of what the top level holds.
func TestTopLevel(t *testing.T) {
	t.Parallel()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{"umf", "bus", "edge", "deploy", "integration", "go.mod", "go.sum", "docker-compose.yml", "README.md", "LICENSE", ".*"}
	for line := range strings.Lines(string(ignored)) {
		allowed = append(allowed, strings.Trim(strings.TrimSpace(line), "/"))
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !slices.ContainsFunc(allowed, func(pattern string) bool {
			match, err := filepath.Match(pattern, entry.Name())
			return match && err == nil
		}) {
			t.Errorf("%s is at the top level, which holds only %v", entry.Name(), allowed)
		}
	}
}
