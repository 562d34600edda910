package ownership

import (
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTransitions shows that each change of phase in the table is made, by the
// transcripts and by the model, and no other.
func TestTransitions(t *testing.T) {
	var c counts
	transcripts(t, func(t *testing.T, _, text string) { play(t, text, &c) })
	script := c
	c = counts{}
	for seed, steps := uint64(1), 0; steps < 500_000; seed++ {
		w := newWorld(seed, &c)
		if failed := w.run(); failed != "" {
			t.Fatalf("seed %d: %s", seed, failed)
		}
		steps += w.steps
	}
	for from := range numPhases {
		for to := range numPhases {
			legal, n, m := slices.Contains(transitions[from], to), script.taken[from][to], c.taken[from][to]
			if legal {
				t.Logf("%8v to %-8v %4d in transcripts, %7d in the model", from, to, n, m)
			}
			if legal != (n > 0) {
				t.Errorf("%v to %v: legal %v, in transcripts %d times", from, to, legal, n)
			}
			if m > 0 && !legal || m == 0 && legal && !unreached(from, to) {
				t.Errorf("%v to %v: legal %v, in the model %d times", from, to, legal, m)
			}
		}
	}
}

// unreached names what the model does not do: nothing deletes its entry, and nobody
// asks for a session that its own client does not know yet.
func unreached(from, to Phase) bool { return from == Entering && to == Gone }

// TestDocumentedTransitions compares the table with the package documentation.
func TestDocumentedTransitions(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var p comment.Parser
	var got string
	for _, b := range p.Parse(f.Doc.Text()).Content {
		if code, ok := b.(*comment.Code); ok && got == "" {
			got = code.Text
		}
	}
	var want strings.Builder
	for from, to := range transitions {
		if len(to) > 0 {
			want.WriteString(Phase(from).String() + strings.Repeat(" ", 10-len(Phase(from).String())))
			for i, p := range to {
				want.WriteString(word(i > 0, " ") + p.String())
			}
			want.WriteString("\n")
		}
	}
	if got != want.String() {
		t.Errorf("doc.go has\n%swant\n%s", got, want.String())
	}
}

// TestOneWayToChangePhase looks for other places than setPhase that assign one.
func TestOneWayToChangePhase(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				a, ok := n.(*ast.AssignStmt)
				if !ok {
					return true
				}
				for _, l := range a.Lhs {
					if s, ok := l.(*ast.SelectorExpr); ok && s.Sel.Name == "phase" {
						found++
						if fn.Name.Name != "setPhase" {
							t.Errorf("%s assigns a phase in %s", name, fn.Name.Name)
						}
					}
				}
				return true
			})
		}
	}
	if found != 1 {
		t.Errorf("the phase is assigned %d times", found)
	}
}
