package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hydrant/integration/harness"
)

// allTags are those behind which there are tests that need a program.
const allTags = "e2e,docker,haproxy,nginx,prometheus,systemd"

// packages lists the module.
func packages(t *testing.T) []listed {
	t.Helper()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-tags", allTags, "-json=ImportPath,Dir,GoFiles,Imports,TestImports,XTestImports", "./...")
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

// TestImports holds the module to its allow-list: a wrong import fails, with the
// reason.
func TestImports(t *testing.T) {
	t.Parallel()
	all := packages(t)
	exists := make(map[string]bool)
	for _, p := range all {
		exists[p.ImportPath] = true
	}
	for _, p := range all {
		for _, wrong := range wrongImports(p, layers, never) {
			t.Error(wrong)
		}
		for _, wrong := range wrongNames(t, p) {
			t.Error(wrong)
		}
	}
	var missing []string
	for _, l := range layers {
		if !strings.HasSuffix(l.path, "/...") && !exists[l.path] {
			missing = append(missing, l.path)
		}
	}
	if len(missing) > 0 {
		t.Errorf("in the allow-list, and not there: %s", strings.Join(missing, ", "))
	}
}

// wrongNames finds what a package uses of another beyond the names it may.
func wrongNames(t *testing.T, p listed) (wrong []string) {
	t.Helper()
	at := slices.IndexFunc(layers, func(l layer) bool { return fits(l.path, p.ImportPath) })
	if at < 0 {
		return nil // TestImports says so
	}
	for path, names := range layers[at].names {
		if !slices.Contains(p.Imports, path) {
			continue
		}
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, used := range usedOf(file, path) {
				if !slices.Contains(names, used) {
					wrong = append(wrong, fmt.Sprintf("%s uses %s of %s, of which it has %v: %s", p.ImportPath, used, path, names, layers[at].why))
				}
			}
		}
	}
	return wrong
}

// usedOf lists what a file uses of a package that it imports.
func usedOf(file *ast.File, path string) (names []string) {
	local := ""
	for _, spec := range file.Imports {
		if spec.Path.Value == strconv.Quote(path) {
			local = path[strings.LastIndex(path, "/")+1:]
			if spec.Name != nil {
				local = spec.Name.Name
			}
		}
	}
	if local == "" {
		return nil
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if pkg, ok := selector.X.(*ast.Ident); ok && pkg.Name == local && !slices.Contains(names, selector.Sel.Name) {
				names = append(names, selector.Sel.Name)
			}
		}
		return true
	})
	return names
}

func TestUsedOf(t *testing.T) {
	t.Parallel()
	for source, want := range map[string][]string{
		`package x; import "hydrant/bus"; var a bus.Config; var b = bus.Connect(bus.Config{})`: {"Config", "Connect"},
		`package x; import kit "hydrant/bus"; var a kit.Config; var b = bus.Other`:             {"Config"},
		`package x; import "hydrant/bus/store"; var a bus.Config`:                              nil,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", source, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := usedOf(file, busKit); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", source, got, want)
		}
	}
}

// TestPure looks for what imports cannot show: goroutines, channels, and the
// clock, which hides in package time beside its types.
func TestPure(t *testing.T) {
	t.Parallel()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range pure {
		files, err := filepath.Glob(filepath.Join(root, strings.TrimPrefix(path, "hydrant/"), "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) == 0 {
			if path == edgeSession {
				t.Errorf("%s has no files", path)
			}
			t.Logf("%s is not there (yet)", path)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, wrong := range impurities(set, file) {
				t.Errorf("%s: %s", path, wrong)
			}
		}
	}
}

// impurities are the goroutines, channels, locks and clocks of a file.
func impurities(set *token.FileSet, file *ast.File) (found []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt, *ast.ChanType, *ast.SelectStmt, *ast.SendStmt:
			found = append(found, fmt.Sprintf("%s: a goroutine or a channel", set.Position(n.Pos())))
		case *ast.SelectorExpr:
			pkg, ok := n.X.(*ast.Ident)
			switch {
			case ok && pkg.Name == "time" && clock[n.Sel.Name]:
				found = append(found, fmt.Sprintf("%s: time.%s, where the time is an argument", set.Position(n.Pos()), n.Sel.Name))
			case ok && pkg.Name == "sync" && n.Sel.Name != "Pool":
				found = append(found, fmt.Sprintf("%s: sync.%s, where one loop owns all", set.Position(n.Pos()), n.Sel.Name))
			}
		}
		return true
	})
	return found
}

func TestImpurities(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]int{
		`x := time.Second; _ = x`: 0, `_ = time.Now()`: 1, `go f()`: 1, `c <- 1`: 1, `var m sync.Mutex; _ = m`: 1,
		`var p sync.Pool; _ = p`: 0, `select {}`: 1, `var c chan int; _ = c`: 1,
	} {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, "x.go", "package x\nfunc f() { "+body+" }", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := impurities(set, file); len(got) != want {
			t.Errorf("%s: %q, want %d", body, got, want)
		}
	}
}

var clock = map[string]bool{"Now": true, "Since": true, "Until": true, "Sleep": true, "After": true, "AfterFunc": true,
	"NewTimer": true, "NewTicker": true, "Tick": true}

// TestTopLevel keeps the top level to five folders and a few files.
func TestTopLevel(t *testing.T) {
	t.Parallel()
	root, ignored := ofModule(t, ".gitignore")
	allowed := []string{"umf", "bus", "edge", "deploy", "integration", "go.mod", "go.sum", "docker-compose.yml", "README.md", "LICENSE", ".*"}
	for line := range strings.Lines(ignored) {
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
