package access

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

var somewhere = netip.MustParseAddr("192.0.2.1")

// TestAdministrators: only the token itself, as a bearer, and never an empty one.
func TestAdministrators(t *testing.T) {
	for _, test := range []struct {
		token, authorization string
		want                 Standing
	}{
		{"secret", "Bearer secret", Administrator},
		{"secret", "bearer secret", Administrator},
		{"secret", "BEARER secret", Administrator},
		{"a.b.c", "Bearer a.b.c", Administrator},
		{"two words", "Bearer two words", Administrator},
		{"secret", "Bearer secret ", WrongToken},
		{"secret", "Bearer  secret", WrongToken},
		{"secret", "Bearer secre", WrongToken},
		{"secret", "Bearer secrets", WrongToken},
		{"secret", "Bearer SECRET", WrongToken},
		{"secret", "Bearer secret, Bearer secret", WrongToken}, // the field twice
		{"secret", "Bearer wrong, Bearer secret", WrongToken},
		{"secret", "Bearer secret\x00", WrongToken},
		{"secret", "Bearer x.y.z", Stranger},
		{"a.b.c", "Bearer x.y.z", WrongToken},
		{"secret", "Bearer ", Stranger},
		{"secret", "Bearer", Stranger},
		{"secret", "Bearer\tsecret", Stranger},
		{"secret", " Bearer secret", Stranger},
		{"secret", "Basic secret", Stranger},
		{"secret", "Basic OnNlY3JldA==", Stranger},
		{"secret", "Digest secret", Stranger},
		{"secret", "Token secret", Stranger},
		{"secret", "secret", Stranger},
		{"secret", "", Stranger},
		{"", "Bearer ", Stranger},
		{"", "Bearer x", Stranger},
		{"", "", Stranger},
	} {
		a := NewAdministrators(test.token, func() {})
		if got := a.Check(test.authorization, somewhere, time.Now()); got != test.want {
			t.Errorf("token %q, %q: %d, want %d", test.token, test.authorization, got, test.want)
		}
		if a.Shown(test.authorization) != (test.want == Administrator) {
			t.Errorf("token %q, %q: shown", test.token, test.authorization)
		}
		if a.Ask() != (test.token != "") {
			t.Errorf("token %q is asked for: %v", test.token, a.Ask())
		}
	}
}

// TestWrongTokens: an address has a few, then one a second; meanwhile no token is looked
// at, the right one neither. Other addresses do not notice.
func TestWrongTokens(t *testing.T) {
	a, now := NewAdministrators("secret", func() {}), time.Unix(1000, 0)
	address := netip.MustParseAddr("2001:db8:0:1::")
	for i := range tokenBurst {
		address = address.Next() // of the same network
		if got := a.Check(fmt.Sprint("Bearer ", i), address, now); got != WrongToken {
			t.Fatalf("wrong token %d: %d", i, got)
		}
		a.Wrong(address, now)
	}
	for _, authorization := range []string{"Bearer wrong", "Bearer secret"} {
		if got := a.Check(authorization, address.Next(), now); got != TooManyTokens {
			t.Errorf("%s: %d", authorization, got)
		}
	}
	if !a.Shown("Bearer secret") {
		t.Error("the token would go to others")
	}
	if got := a.Check("Bearer x.y.z", address, now); got != Stranger {
		t.Errorf("a client's token: %d", got)
	}
	if got := a.Check("Bearer secret", somewhere, now); got != Administrator {
		t.Errorf("from another address: %d", got)
	}
	now = now.Add(tokenRefill)
	if got := a.Check("Bearer secret", address, now); got != Administrator {
		t.Errorf("after a while: %d", got)
	}
	a.Wrong(address, now)
	if got := a.Check("Bearer secret", address, now); got != TooManyTokens {
		t.Errorf("after one more: %d", got)
	}
}
