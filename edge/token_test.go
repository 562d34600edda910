package edge

import "testing"

func TestTokenMatches(t *testing.T) {
	token := newToken()
	hash := hashToken(token)
	if !tokenMatches(token, hash[:]) {
		t.Error("the own token does not match")
	}
	for _, wrong := range []string{"", newToken(), token + "x"} {
		if tokenMatches(wrong, hash[:]) {
			t.Errorf("%q matches", wrong)
		}
	}
	if tokenMatches(token, nil) {
		t.Error("a session without a token accepts one")
	}
}
