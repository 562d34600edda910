package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// listed is what `go list` says of a package.
type listed struct {
	ImportPath   string
	Dir          string
	GoFiles      []string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func fits(pattern, path string) bool {
	if pattern == outside {
		return !isStandard(path) && !isOurs(path)
	}
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == tree || strings.HasPrefix(path, tree+"/")
	}
	return pattern == path
}

func fitsAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return fits(pattern, path) })
}

func isOurs(path string) bool { return fits(ours, path) }

func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".") && !isOurs(path)
}

func (a arrow) fits(from, to string) bool {
	return fits(a.from, from) && fits(a.to, to) && !fitsAny(a.except, to) && from != to
}

// wrongImports checks one package.
func wrongImports(p listed, layers []layer, never []arrow) (wrong []string) {
	at := slices.IndexFunc(layers, func(l layer) bool { return fits(l.path, p.ImportPath) })
	if at < 0 {
		return []string{p.ImportPath + " is in no layer: add it to the allow-list, with what it is for"}
	}
	l := layers[at]
	check := func(imports, allow, forbid []string) {
		for _, path := range imports {
			switch {
			case isStandard(path) && fitsAny(forbid, path),
				!isStandard(path) && !fitsAny(allow, path) && path != p.ImportPath:
				wrong = append(wrong, fmt.Sprintf("%s imports %s: %s", p.ImportPath, path, l.why))
			case strings.HasPrefix(path, "github.com/gobwas/") && !fitsAny(gobwasOnlyIn, p.ImportPath):
				wrong = append(wrong, fmt.Sprintf("%s imports %s, which only %s may", p.ImportPath, path, gobwasOnlyIn[0]))
			}
		}
	}
	check(p.Imports, l.allow, l.forbid)
	tests := slices.Concat(l.allow, l.tests, everyTest)
	check(p.TestImports, tests, nil) // a test of a pure package may read files
	check(p.XTestImports, tests, nil)
	for _, path := range p.Imports {
		for _, a := range never {
			if a.fits(p.ImportPath, path) {
				wrong = append(wrong, fmt.Sprintf("%s imports %s, which it never may: %s", p.ImportPath, path, a.why))
			}
		}
	}
	return wrong
}

// everyPackage has each layer's package, and stands for the packages that trees
// and third parties have.
func everyPackage() (all []string) {
	for _, l := range layers {
		all = append(all, example(l.path))
		for _, path := range slices.Concat(l.allow, l.tests) {
			all = append(all, example(path))
		}
	}
	all = append(all, "hydrant/nowhere", "example.org/library")
	slices.Sort(all)
	return slices.Compact(all)
}

// example is a package that fits a pattern.
func example(pattern string) string {
	if pattern == outside {
		return "example.org/library"
	}
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return tree + "/x"
	}
	return pattern
}

// TestForbiddenArrows draws each forbidden arrow in turn, between every two
// packages that it is about, and the check must say no twice: because of the
// arrow, and because the allow-list has no room for it either.
func TestForbiddenArrows(t *testing.T) {
	t.Parallel()
	var lax []layer // allows everything
	var packages []string
	for _, l := range layers {
		lax = append(lax, layer{path: l.path, allow: []string{ours, outside}, why: l.why})
		packages = append(packages, example(l.path))
	}
	for _, a := range never {
		drawn := 0
		for _, from := range packages {
			for _, to := range everyPackage() {
				if !a.fits(from, to) {
					continue
				}
				drawn++
				p := listed{ImportPath: from, Imports: []string{"strings", to}}
				if wrong := wrongImports(p, lax, []arrow{a}); len(wrong) == 0 || !strings.HasSuffix(wrong[len(wrong)-1], a.why) {
					t.Errorf("%s → %s is not noticed: %q", from, to, wrong)
				}
				if wrong := wrongImports(p, layers, nil); len(wrong) == 0 {
					t.Errorf("%s → %s is in the allow-list", from, to)
				}
			}
		}
		if drawn == 0 {
			t.Errorf("%s → %s is no arrow between packages that there are", a.from, a.to)
		}
	}
}

// TestAllowList holds each layer to its list: a package that imports what it
// may is right, and any one import more is wrong.
func TestAllowList(t *testing.T) {
	t.Parallel()
	for _, l := range layers {
		p := listed{ImportPath: example(l.path), Imports: []string{"fmt", "strings"}}
		for _, path := range l.allow {
			p.Imports = append(p.Imports, example(path))
		}
		p.XTestImports = slices.Concat(p.Imports, everyTest, []string{"os"})
		for _, path := range l.tests {
			p.TestImports = append(p.TestImports, example(path))
		}
		if wrong := wrongImports(p, layers, never); len(wrong) > 0 {
			t.Errorf("what the allow-list allows is wrong: %q", wrong)
		}
		for _, path := range append(everyPackage(), l.forbid...) {
			if path = example(path); fitsAny(l.allow, path) || path == p.ImportPath {
				continue
			}
			extra := listed{ImportPath: p.ImportPath, Imports: []string{path}}
			if len(wrongImports(extra, layers, nil)) == 0 {
				t.Errorf("%s may import %s, which its layer does not name", p.ImportPath, path)
			}
		}
	}
	if wrong := wrongImports(listed{ImportPath: "hydrant/nowhere"}, layers, never); len(wrong) != 1 {
		t.Errorf("a package of no layer: %q", wrong)
	}
}
