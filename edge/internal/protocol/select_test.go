package protocol

import (
	"strings"
	"testing"
)

// TestSelect: a secret is never selected, whatever is offered beside it, in whatever
// order and case.
func TestSelect(t *testing.T) {
	for _, test := range []struct {
		offered, chosen string
		second, ok      bool
	}{
		{"", "", false, true},
		{"chat", "chat", false, true},
		{"chat,other", "chat", false, true},
		{"umf.ack.v1", "umf.ack.v1", true, true},
		{"umf.v1", "umf.v1", true, true},
		{"chat,umf.v1,umf.ack.v1", "umf.ack.v1", true, true},
		{"chat,umf.v1", "umf.v1", true, true},
		{"umf.auth.secret,umf.v1", "umf.v1", true, true},
		{"umf.auth.secret,umf.ack.v1", "umf.ack.v1", true, true},
		{"umf.auth.secret,chat", "chat", false, true},
		{"umf.resume.a.b.1,umf.auth.secret,chat", "chat", false, true},
		{"umf.auth.secret", "", false, false},
		{"umf.auth.", "", false, false},
		{"UMF.Auth.secret", "", false, false},
		{"umf.auth.a,umf.auth.b", "", false, false},
		{"umf.resume.a.b.1", "", false, false},
		{"Umf.V1", "Umf.V1", false, true},
		{"umf.author", "umf.author", false, true},
		{"umf.auth", "umf.auth", false, true},
		{"umf.auth-secret", "", false, false},
		{"UMF.AUTH~secret,umf.resume_a.b", "", false, false},
		{"umf.auth/secret", "", false, false},
		{`"umf.auth.secret"`, "", false, false},
		{`'umf.auth.secret"`, "", false, false},
		{"umf.auth=secret,chat", "chat", false, true},
		{"umf\u00b7auth.secret", "", false, false},
		{"{umf.auth.secret}", "", false, false},
	} {
		var offered []string
		if test.offered != "" {
			offered = strings.Split(test.offered, ",")
		}
		chosen, second, ok := Select(offered)
		if chosen != test.chosen || second != test.second || ok != test.ok {
			t.Errorf("of %s: %q, %v, %v", test.offered, chosen, second, ok)
		}
	}
}
