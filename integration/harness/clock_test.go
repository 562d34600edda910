package harness

import (
	"strings"
	"testing"
)

// The change fits the package time of the Go that runs the tests.
func TestWithClock(t *testing.T) {
	_, text, err := packageTime()
	if err != nil {
		t.Fatal(err)
	}
	if changed, ok := withClock(text); !ok || !strings.Contains(changed, "sec += HydrantSkew.Load()") {
		t.Error("package time is not as expected")
	}
	if _, ok := withClock("package time"); ok {
		t.Error("an unknown text is taken")
	}
}
