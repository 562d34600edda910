package scheme

import (
	"errors"
	"strings"
	"testing"
)

func TestNewSID(t *testing.T) {
	seen := make(map[SID]bool)
	first := make(map[byte]bool)
	for range 2000 {
		sid := NewSID()
		if !validSID(string(sid)) || seen[sid] {
			t.Fatalf("%q", sid)
		}
		seen[sid] = true
		first[sid[0]] = true
	}
	if len(first) != MaxStreams {
		t.Errorf("%d different first characters in 2000 ids", len(first))
	}
}

func TestNewNodeID(t *testing.T) {
	if id := NewNodeID(); !validNodeID(string(id)) || id == NewNodeID() {
		t.Fatal(id)
	}
}

func TestValidNames(t *testing.T) {
	sid := strings.Repeat("a", SIDLen)
	node := strings.Repeat("0", NodeIDLen)
	for _, c := range []struct {
		name  string
		valid func(string) bool
		yes   []string
		no    []string
	}{
		{"sid", validSID, []string{sid, "zyxwvutsrqponmlkjihgfe2345"},
			[]string{"", sid[1:], sid + "a", "A" + sid[1:], "1" + sid[1:], "8" + sid[1:], "." + sid[1:], "*" + sid[1:], "\x00" + sid[1:], "-" + sid[1:]}},
		{"node", validNodeID, []string{node, "0123456789abcdef0123456789abcdef"},
			[]string{"", node[1:], node + "0", "g" + node[1:], "A" + node[1:], ">" + node[1:]}},
		{"service", ValidName, []string{"a", "Echo-svcs_2", strings.Repeat("x", MaxName)},
			[]string{"", "a.b", "*", ">", "a b", "a\n", "$JS", "é", "a:b", strings.Repeat("x", MaxName+1), strings.Repeat("x", 5000)}},
		{"instance", ValidName, []string{"0f", "A_-9"}, []string{"", "a.b", "x>", "\x00"}},
	} {
		for _, s := range c.yes {
			if !c.valid(s) {
				t.Errorf("%s %q is valid", c.name, s)
			}
		}
		for _, s := range c.no {
			if c.valid(s) {
				t.Errorf("%s %q is not valid", c.name, s)
			}
		}
	}
}

func TestBadNameIsCut(t *testing.T) {
	_, err := ParseService(strings.Repeat("\n", 1<<20))
	if !errors.Is(err, ErrBadService) || len(err.Error()) > 400 || strings.Contains(err.Error(), "\n") {
		t.Fatalf("%.500s", err)
	}
}
