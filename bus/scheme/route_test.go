package scheme

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseRoute(t *testing.T) {
	for text, want := range map[string]string{
		"[GET]/v1/x": "[GET]/v1/x", "[get]/v1/x/{id}": "[GET]/v1/x/{id}", "/v1/x": "/v1/x", "[post]/": "[POST]/",
		"[GET]/v1/:id/more": "[GET]/v1/:id/more", "[M-SEARCH]/caf%C3%A9/é": "[M-SEARCH]/caf%C3%A9/é", "[GET]//x/": "[GET]//x/",
	} {
		if r, err := ParseRoute(text); err != nil || r.String() != want {
			t.Errorf("%q is read as %q, %v", text, r.String(), err)
		}
	}
	for _, text := range []string{
		"", "x", "[GET]", "[GET]x", "[]/x", "[GET/x", "[G ET]/x", "[GET]/x?y", "[GET]/x#y", "[GET]/a b", "/a\x00", "/a\x7f", "/a,b",
		"/{}", "/:", "/{a", "/a}", "/x{a}", "/{rest...}", "/{a{b}}", "/" + strings.Repeat("x", MaxRoute), "[" + strings.Repeat("G", 33) + "]/x",
	} {
		if r, err := ParseRoute(text); !errors.Is(err, ErrRoute) {
			t.Errorf("%q is read as %q, %v", text, r.String(), err)
		}
	}
}

func TestRouteMatch(t *testing.T) {
	for _, test := range []struct {
		route, path string
		want        string // what {a} and {b} stand for; "no"
	}{
		{"/", "/", ""}, {"/", "", "no"}, {"/", "/x", "no"}, {"/x", "/x", ""}, {"/x", "/x/", "no"}, {"/x/", "/x", "no"}, {"/x", "/X", "no"},
		{"/x/{a}", "/x/1", "1"}, {"/x/:a", "/x/1", "1"}, {"/x/{a}", "/x/", "no"}, {"/x/{a}", "/x/1/2", "no"}, {"/x/{a}", "/x", "no"},
		{"/{a}/x/{b}", "/1/x/2", "1 2"}, {"/{a}/x/{b}", "/1/y/2", "no"},
	} {
		r, err := ParseRoute(test.route)
		if err != nil {
			t.Fatal(err)
		}
		values, ok := r.Match(test.path)
		got := "no"
		if ok {
			got = strings.TrimSpace(values["a"] + " " + values["b"])
		}
		if got != test.want {
			t.Errorf("%s at %s: %q, want %q", test.path, test.route, got, test.want)
		}
	}
}

func TestSplitRoutes(t *testing.T) {
	if got := SplitRoutes(" [GET]/a, [POST]/b\n/c,,/d\t"); !slices.Equal(got, []string{"[GET]/a", "[POST]/b", "/c", "/d"}) {
		t.Errorf("%q", got)
	}
	if got := SplitRoutes(" ,"); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

// FuzzParseRoute: what is read is read again as the same, and matches itself where it
// has no wildcards.
func FuzzParseRoute(f *testing.F) {
	for _, text := range []string{"[GET]/v1/x", "/v1/{id}/:b", "[]/", "/{", "[get]/a//b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRoute(text)
		if err != nil {
			return
		}
		again, err := ParseRoute(r.String())
		if err != nil || again.String() != r.String() {
			t.Errorf("%q, then %q, %v", r.String(), again.String(), err)
		}
		if _, ok := r.Match(r.Path); !ok {
			t.Errorf("%q does not match itself", r.Path)
		}
	})
}
