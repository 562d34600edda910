package main

import (
	"strings"
	"testing"
)

// TestWrapped: words stay whole, and lines fit where words do.
func TestWrapped(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 90)
	for _, test := range []struct{ first, indent, text, want string }{
		{"", "", "", "\n"},
		{"  a: ", "     ", "b  c\nd", "  a: b c d\n"},
		{"", "  ", strings.Repeat("ab ", 27), strings.TrimSpace(strings.Repeat("ab ", 26)) + " ab\n"},
		{"", "  ", strings.Repeat("ab ", 28), strings.TrimSpace(strings.Repeat("ab ", 27)) + "\n  ab\n"},
		{"name ", "  ", long, "name\n  " + long + "\n"},
		{"", "  ", "a " + long + " b", "a\n  " + long + "\n  b\n"},
		{"", "", strings.Repeat("é ", 40), strings.TrimSpace(strings.Repeat("é ", 40)) + "\n"},
	} {
		if got := wrapped(test.first, test.indent, test.text); got != test.want {
			t.Errorf("%q %q %q:\n%q\n%q", test.first, test.indent, test.text, got, test.want)
		}
	}
	wide := strings.TrimSpace(strings.Repeat("word ", 20))
	if got, want := fitted("\nas it\n  is\n\n"+wide+"\nend\n"), "\nas it\n  is\n\n"+wrapped("", "", wide+" end"); got != want {
		t.Errorf("%q\n%q", got, want)
	}
}
