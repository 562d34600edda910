//go:build mutate

package ownership_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"hydrant/edge/internal/mutate"
)

// The mutation test takes single conditions, transitions and statements out of the
// machine, and shows that the transcripts or the model notice each of them:
//
//	go test -tags mutate -run TestMutations -v -timeout 30m ./edge/internal/ownership
//
// All mutations are compiled into one test program, by an overlay of the package's
// files in which each asks whether it is on; the environment says which one is.

var (
	mutantSteps = flag.Int("mutant-steps", 3_000_000, "steps of the model for each mutation")
	mutantOnly  = flag.Int("mutant", 0, "number of the only mutation to try; 0: all")
)

// support is added to the package. A mutant that is on returns a value of no
// phase, reply or step.
const support = `package ownership

import (
	"os"
	"strconv"
	"time"
)

var mutant, _ = strconv.Atoi(os.Getenv("OWNERSHIP_MUTANT"))

func off(n int) bool { return mutant == n }

func pick[T ~uint8](n int, v T) T {
	if off(n) {
		return 255
	}
	return v
}

func bound(n int, d, instead time.Duration) time.Duration {
	if off(n) {
		return instead
	}
	return d
}
`

// mutation is one place where the machine can be made wrong.
type mutation struct {
	n    int
	at   string // file and line
	what string
}

// edit inserts text into a file.
type edit struct {
	offset int
	order  int // among those at the same place
	text   string
}

// mutator rewrites one file.
type mutator struct {
	fset  *token.FileSet
	src   []byte
	name  string
	edits []edit
	list  *[]mutation
}

func (m *mutator) add(node ast.Node, what string) int {
	*m.list = append(*m.list, mutation{n: len(*m.list) + 1, what: what,
		at: fmt.Sprintf("%s:%d", m.name, m.fset.Position(node.Pos()).Line)})
	return len(*m.list)
}

func (m *mutator) text(n ast.Node) string {
	s := string(m.src[m.fset.Position(n.Pos()).Offset:m.fset.Position(n.End()).Offset])
	s, rest, more := strings.Cut(s, "\n")
	if more && rest != "" {
		s += " …"
	}
	return s
}

// wrap puts text around a node. Outer nodes are wrapped first.
func (m *mutator) wrap(n ast.Node, before, after string) {
	at := len(m.edits)
	m.edits = append(m.edits,
		edit{m.fset.Position(n.Pos()).Offset, at, before},
		edit{m.fset.Position(n.End()).Offset, -at, after})
}

// never makes a condition false, always makes it true.
func (m *mutator) never(e ast.Expr, what string) {
	m.wrap(e, fmt.Sprintf("(!off(%d) && (", m.add(e, what)), "))")
}

func (m *mutator) always(e ast.Expr, what string) {
	m.wrap(e, fmt.Sprintf("(off(%d) || (", m.add(e, what)), "))")
}

// condition mutates a guard, and each of its operands.
func (m *mutator) condition(e ast.Expr) {
	m.never(e, "never: "+m.text(e))
	m.operands(e, true)
}

func (m *mutator) operands(e ast.Expr, top bool) {
	switch b := e.(type) {
	case *ast.ParenExpr:
		m.operands(b.X, top)
		return
	case *ast.BinaryExpr:
		for _, x := range []ast.Expr{b.X, b.Y} {
			switch b.Op {
			case token.LAND:
				m.always(x, "without: "+m.text(x)+" in "+m.text(e))
				m.operands(x, false)
			case token.LOR:
				m.never(x, "without: "+m.text(x)+" in "+m.text(e))
				m.operands(x, false)
			}
		}
		if b.Op == token.LAND || b.Op == token.LOR {
			return
		}
	}
	if top {
		m.always(e, "always: "+m.text(e))
	}
}

// file finds what can be mutated.
func (m *mutator) file(f *ast.File) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.GenDecl:
			m.table(d)
		case *ast.FuncDecl:
			if d.Body != nil && d.Name.Name != "String" && d.Name.Name != "setPhase" {
				m.function(d)
			}
		}
	}
}

// table takes single transitions out.
func (m *mutator) table(d *ast.GenDecl) {
	for _, s := range d.Specs {
		v, ok := s.(*ast.ValueSpec)
		if !ok || v.Names[0].Name != "transitions" {
			continue
		}
		for _, row := range v.Values[0].(*ast.CompositeLit).Elts {
			kv := row.(*ast.KeyValueExpr)
			for _, to := range kv.Value.(*ast.CompositeLit).Elts {
				n := m.add(to, "no transition from "+m.text(kv.Key)+" to "+m.text(to))
				m.wrap(to, fmt.Sprintf("pick(%d, ", n), ")")
			}
		}
	}
}

// bounds are the constants, and what they are instead.
var bounds = map[string]string{"deadline": "time.Hour", "settling": "0", "lastPong": "time.Hour", "retryStep": "0"}

func (m *mutator) function(d *ast.FuncDecl) {
	results := d.Type.Results != nil
	ast.Inspect(d.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt:
			m.condition(n.Cond)
		case *ast.SwitchStmt:
			m.cases(n)
		case *ast.BlockStmt:
			m.statements(n.List, results)
		case *ast.CaseClause:
			m.statements(n.Body, results)
		case *ast.Ident:
			if to, ok := bounds[n.Name]; ok {
				m.wrap(n, fmt.Sprintf("bound(%d, ", m.add(n, n.Name+" is "+to)), ", "+to+")")
			}
		case *ast.CallExpr:
			for _, a := range n.Args {
				switch id, _ := a.(*ast.Ident); {
				case id == nil:
				case id.Name == "true":
					m.wrap(a, "(", fmt.Sprintf(" && !off(%d))", m.add(a, "false in "+m.text(n))))
				case id.Name == "false":
					m.wrap(a, "(", fmt.Sprintf(" || off(%d))", m.add(a, "true in "+m.text(n))))
				}
			}
		}
		return true
	})
}

func (m *mutator) cases(s *ast.SwitchStmt) {
	for _, c := range s.Body.List {
		for _, e := range c.(*ast.CaseClause).List {
			if s.Tag == nil {
				m.condition(e)
				continue
			}
			m.wrap(e, fmt.Sprintf("pick(%d, ", m.add(e, "without case "+m.text(e)+" of "+m.text(s.Tag))), ")")
		}
	}
}

// statements takes single ones out.
func (m *mutator) statements(list []ast.Stmt, results bool) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.ExprStmt, *ast.IncDecStmt:
		case *ast.ReturnStmt:
			if results {
				continue
			}
		default:
			continue
		}
		m.wrap(s, fmt.Sprintf("if !off(%d) { ", m.add(s, "without: "+m.text(s))), " }")
	}
}

// write applies the edits.
func (m *mutator) write() []byte {
	slices.SortStableFunc(m.edits, func(a, b edit) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.order, b.order))
	})
	var out bytes.Buffer
	last := 0
	for _, e := range m.edits {
		out.Write(m.src[last:e.offset])
		out.WriteString(e.text)
		last = e.offset
	}
	out.Write(m.src[last:])
	return out.Bytes()
}

// build compiles the tests with all mutations.
func build(t *testing.T) (program string, list []mutation) {
	changed := map[string][]byte{"mutant.go": []byte(support)}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		m := &mutator{fset: token.NewFileSet(), src: src, name: name, list: &list}
		f, err := parser.ParseFile(m.fset, name, src, 0)
		if err != nil {
			t.Fatal(err)
		}
		m.file(f)
		changed[name] = m.write()
	}
	return mutate.Build(t, changed), list
}

// try runs one test with a mutation. Empty: it has not noticed.
func try(program string, n int, test string) string {
	cmd := exec.Command(program, "-test.run", "^"+test+"$", "-steps", strconv.Itoa(*mutantSteps), "-test.timeout", "2m")
	cmd.Env = append(os.Environ(), fmt.Sprintf("OWNERSHIP_MUTANT=%d", n))
	return mutate.Try(cmd)
}

func TestMutations(t *testing.T) {
	program, list := build(t)
	if got := try(program, -1, "Test.*"); got != "" {
		t.Fatalf("without a mutation: %s", got)
	}
	results := make([][2]string, len(list))
	jobs := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := range jobs {
				results[i] = [2]string{try(program, list[i].n, "TestTranscripts"), try(program, list[i].n, "TestModel")}
			}
		})
	}
	for i, m := range list {
		if *mutantOnly == 0 || *mutantOnly == m.n {
			jobs <- i
		}
	}
	close(jobs)
	workers.Wait()
	noticed := [3]int{}
	for i, m := range list {
		r := results[i]
		if *mutantOnly != 0 && *mutantOnly != m.n {
			continue
		}
		t.Logf("%3d %s %s\n\ttranscripts: %s\n\tmodel: %s", m.n, m.at, m.what, r[0], r[1])
		if r[0] == "" && r[1] == "" {
			t.Errorf("%d %s %s: not noticed", m.n, m.at, m.what)
			continue
		}
		noticed[0]++
		for k := range r {
			if r[k] != "" {
				noticed[k+1]++
			}
		}
	}
	t.Logf("%d mutations: %d noticed, by transcripts %d, by the model %d", len(list), noticed[0], noticed[1], noticed[2])
}
