package integration

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hydrant/integration/harness"
)

// A faultRow is one row of FAULTS.md.
type faultRow struct {
	id    string
	tests []string // package.Test/subtest
	shown bool     // stands outside of "Not shown by a test"
}

var (
	rowForm  = regexp.MustCompile(`^\| ([A-Z][0-9]*) \|(.*)\|$`)
	testForm = regexp.MustCompile("`([a-z0-9/]+\\.(?:Test|Fuzz)[^`]*)`")
)

// faultRows reads the tables of FAULTS.md.
func faultRows(text string) (rows []faultRow, err error) {
	shown := true
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			shown = heading != "Not shown by a test"
		}
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.HasPrefix(line, "| # |") {
			continue
		}
		match := rowForm.FindStringSubmatch(line)
		if match == nil {
			return nil, fmt.Errorf("no row: %s", line)
		}
		row := faultRow{id: match[1], shown: shown}
		for _, test := range testForm.FindAllStringSubmatch(match[2], -1) {
			row.tests = append(row.tests, test[1])
		}
		if slices.ContainsFunc(rows, func(other faultRow) bool { return other.id == row.id }) {
			return nil, fmt.Errorf("two rows are called %s", row.id)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// A testSource is what the test files of a folder hold.
type testSource struct {
	tests map[string]string // functions, with their comments
	names map[string]bool   // texts and names of test data, as go test writes subtests
}

// testSources reads all test files, whatever their build tags, by folder.
func testSources(root string) (map[string]*testSource, error) {
	sources := make(map[string]*testSource)
	of := func(dir string) *testSource {
		if sources[dir] == nil {
			sources[dir] = &testSource{tests: make(map[string]string), names: make(map[string]bool)}
		}
		return sources[dir]
	}
	return sources, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); path != root && (name == "node_modules" || strings.HasPrefix(name, ".")) {
				return fs.SkipDir
			}
			return nil
		}
		inside, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		inside = filepath.ToSlash(inside)
		if dir, _, ok := strings.Cut(inside, "/testdata/"); ok {
			of(dir).names[strings.TrimSuffix(entry.Name(), filepath.Ext(entry.Name()))] = true
			return nil
		}
		if !strings.HasSuffix(inside, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		of(filepath.ToSlash(filepath.Dir(inside))).read(file)
		return nil
	})
}

func (s *testSource) read(file *ast.File) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && (strings.HasPrefix(n.Name.Name, "Test") || strings.HasPrefix(n.Name.Name, "Fuzz")) {
				s.tests[n.Name.Name] = n.Doc.Text()
			}
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
				s.names[strings.ReplaceAll(text, " ", "_")] = true
			}
		}
		return true
	})
}

// missingTest says what of a test's name is not in the source.
func missingTest(name string, sources map[string]*testSource) string {
	dir, test, _ := strings.Cut(name, ".")
	test, subtest, hasSubtest := strings.Cut(test, "/")
	found := false
	for at, source := range sources {
		if at != dir && !strings.HasPrefix(at, dir+"/") {
			continue
		}
		if _, ok := source.tests[test]; !ok {
			continue
		}
		found = true
		if !hasSubtest || source.names[subtest] {
			return ""
		}
	}
	if found {
		return fmt.Sprintf("%s: the test has no subtest %q", name, subtest)
	}
	return fmt.Sprintf("%s: there is no such test in %s or below", name, dir)
}

// ofModule reads a file of the module, and returns where that is.
func ofModule(t *testing.T, name string) (root, text string) {
	t.Helper()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return root, string(raw)
}

// TestFaultsTable holds FAULTS.md to the tests: each one that it names exists,
// each row names one or says why it has none, and each row that a test of this
// package names is in it.
func TestFaultsTable(t *testing.T) {
	t.Parallel()
	root, text := ofModule(t, "integration/FAULTS.md")
	rows, err := faultRows(text)
	if err != nil {
		t.Fatal(err)
	}
	sources, err := testSources(root)
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]bool)
	for _, row := range rows {
		ids[row.id] = true
		if row.shown && len(row.tests) == 0 {
			t.Errorf("row %s names no test", row.id)
		}
		for _, test := range row.tests {
			if missing := missingTest(test, sources); missing != "" {
				t.Errorf("row %s: %s", row.id, missing)
			}
		}
	}
	for test, comment := range sources["integration"].tests {
		for _, id := range rowName.FindAllString(comment, -1) {
			if !ids[id] {
				t.Errorf("%s names row %s, which FAULTS.md does not have", test, id)
			}
		}
	}
}

// TestDocumentsNameTests: each test that the README or the guide names exists.
func TestDocumentsNameTests(t *testing.T) {
	t.Parallel()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	sources, err := testSources(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "deploy/README.md"} {
		_, text := ofModule(t, name)
		named := testForm.FindAllStringSubmatch(text, -1)
		if len(named) == 0 {
			t.Errorf("%s names no test", name)
		}
		for _, test := range named {
			if missing := missingTest(test[1], sources); missing != "" {
				t.Errorf("%s: %s", name, missing)
			}
		}
	}
}

// TestGuidePromisesByTests: each section of the guide has a line in its table of promises,
// and each line names a test.
func TestGuidePromisesByTests(t *testing.T) {
	t.Parallel()
	_, text := ofModule(t, "deploy/README.md")
	const table = "What this guide promises"
	_, promises, _ := strings.Cut(text, "\n## "+table+"\n")
	promises, _, _ = strings.Cut(promises, "\n## ")
	for _, heading := range regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(text, -1) {
		if heading[1] != table && !strings.Contains(promises, "| ["+heading[1]+"](#") {
			t.Errorf("nothing says which tests show what stands in %q", heading[1])
		}
	}
	for line := range strings.Lines(promises) {
		if strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "|---") && !strings.HasPrefix(line, "| Section") && !testForm.MatchString(line) {
			t.Errorf("no test shows %s", line)
		}
	}
}

// rowName is a row in a comment.
var rowName = regexp.MustCompile(`\b[RPSIW][0-9]{1,3}\b`)

func TestFaultRows(t *testing.T) {
	t.Parallel()
	rows, err := faultRows("# F\n| # | a | b |\n|---|---|---|\n| R1 | x | `bus.TestA` and `edge/x.TestB/sub_test` |\n## Not shown by a test\n| R2 | y | - |\n")
	if err != nil || len(rows) != 2 || !slices.Equal(rows[0].tests, []string{"bus.TestA", "edge/x.TestB/sub_test"}) || !rows[0].shown || rows[1].shown {
		t.Errorf("read as %+v, %v", rows, err)
	}
	for _, wrong := range []string{"| R1 | x |\n| R1 | y |", "| 1 | x |", "| R1 | x"} {
		if rows, err := faultRows(wrong); err == nil {
			t.Errorf("%q is read as %+v", wrong, rows)
		}
	}
	sources := map[string]*testSource{
		"bus/store": {tests: map[string]string{"TestA": ""}, names: map[string]bool{"a_part": true}},
		"edge":      {tests: map[string]string{"TestB": ""}},
	}
	for name, there := range map[string]bool{
		"bus.TestA": true, "bus/store.TestA": true, "bus.TestA/a_part": true,
		"bus.TestA/other": false, "bus.TestB": false, "edge.TestA": false, "bus/sto.TestA": false,
	} {
		if missing := missingTest(name, sources); (missing == "") != there {
			t.Errorf("%s: %q", name, missing)
		}
	}
}
