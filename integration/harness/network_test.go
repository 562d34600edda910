package harness

import "testing"

// Where namespaces are not allowed, or the tests were not isolated, the runs of
// package chaos show what a network does.
func TestHostRun(t *testing.T) {
	for _, h := range []*Host{nil, {Name: "clients"}} {
		if path, args := h.run("x", []string{"y"}); path != "x" || len(args) != 1 {
			t.Errorf("%s %v", path, args)
		}
	}
	h := &Host{namespace: "h10"}
	if path, args := h.run("x", []string{"y"}); path != "ip" || len(args) != 5 || args[3] != "x" || args[4] != "y" {
		t.Errorf("%s %v", path, args)
	}
}
