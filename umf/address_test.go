package umf

import (
	"errors"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	long := strings.Repeat("n", maxName)
	tests := []struct {
		text string
		want Address
		bad  error
	}{
		{"svc:/", Address{Service: "svc", Path: "/"}, nil},
		{"svc:", Address{Service: "svc"}, nil},
		{"svc:/a/b?c=d&e=%2F#é", Address{Service: "svc", Path: "/a/b?c=d&e=%2F#é"}, nil},
		{"auth_SVC-2:/x@y:z", Address{Service: "auth_SVC-2", Path: "/x@y:z"}, nil},
		{"S@svc:/", Address{Instance: "S", Service: "svc", Path: "/"}, nil},
		{"svc:[GET]/p", Address{Service: "svc", Method: "GET", Path: "/p"}, nil},
		{"svc:[get]", Address{Service: "svc", Method: "GET"}, nil},
		{"S@svc:[m-search]/p", Address{"S", "svc", "M-SEARCH", "/p"}, nil},
		{"svc:/[GET]/p", Address{Service: "svc", Path: "/[GET]/p"}, nil},
		{"svc:[GET][POST]/p", Address{Service: "svc", Method: "GET", Path: "[POST]/p"}, nil},
		{"abc@client:/", Address{Instance: "abc", Service: "client", Path: "/"}, nil},
		{"0a-bc@hydra-router:/", Address{Instance: "0a-bc", Service: "hydra-router", Path: "/"}, nil},
		{"constructor@client:/", Address{Instance: "constructor", Service: "client", Path: "/"}, nil},
		{"http://host:80/", Address{Service: "http", Path: "//host:80/"}, nil},
		{long + "@" + long + ":", Address{Instance: long, Service: long}, nil},
		{"svc:" + strings.Repeat("p", MaxAddress-4), Address{Service: "svc", Path: strings.Repeat("p", MaxAddress-4)}, nil},

		{"", Address{}, errNoColon},
		{"svc", Address{}, errNoColon},
		{"S@svc", Address{}, errNoColon},
		{"S@", Address{}, errNoColon},
		{":/", Address{}, errService},
		{"S@:/", Address{}, errService},
		{"@svc:/", Address{}, errInstance},
		{"a@b@svc:/", Address{}, errService},
		{"ech*:/", Address{}, errService},
		{"ech>:/", Address{}, errService},
		{"ech?:/", Address{}, errService},
		{"$JS.API:/", Address{}, errService},
		{"a.b:/", Address{}, errService},
		{"a b:/", Address{}, errService},
		{" svc:/", Address{}, errService},
		{"svc :/", Address{}, errService},
		{"s\u00fcc:/", Address{}, errService},
		{"s\x00c:/", Address{}, errService},
		{"*@svc:/", Address{}, errService},
		{"a.b@svc:/", Address{}, errService},
		{"[GET]svc:/", Address{}, errService},
		{long + "n:/", Address{}, errService},
		{long + "n@svc:/", Address{}, errInstance},
		{"svc:[GET", Address{}, errMethod},
		{"svc:[]/p", Address{}, errMethod},
		{"svc:[G T]/p", Address{}, errMethod},
		{"svc:[" + strings.Repeat("M", maxMethod+1) + "]/p", Address{}, errMethod},
		{"svc:/a\r\nb", Address{}, errPath},
		{"svc:/\x00", Address{}, errPath},
		{"svc:/\x7f", Address{}, errPath},
		{"svc:/\xff", Address{}, errPath},
		{"svc:" + strings.Repeat("p", MaxAddress-3), Address{}, errLongAddress},
	}
	for _, test := range tests {
		got, err := ParseAddress(test.text)
		if got != test.want || err != test.bad || err != nil && !errors.Is(err, ErrAddress) {
			t.Errorf("%q: got %+v, %v", test.text, got, err)
		}
		fromBytes, err := ParseAddress([]byte(test.text))
		if fromBytes != got || err != test.bad {
			t.Errorf("%q as bytes: got %+v, %v", test.text, fromBytes, err)
		}
		view, err := ViewAddress([]byte(test.text))
		if view.Address() != got || err != test.bad {
			t.Errorf("%q viewed: got %+v, %v", test.text, view, err)
		}
		if test.bad == nil && !strings.EqualFold(got.String(), test.text) {
			t.Errorf("%q: String is %q", test.text, got)
		}
	}
}

func TestVia(t *testing.T) {
	a := ViaAddress("0a1b", "abcd", "hydra-router")
	if a.String() != "0a1b-abcd@hydra-router:/" {
		t.Errorf("built %s", a)
	}
	node, sid, ok := a.Via()
	if node != "0a1b" || sid != "abcd" || !ok {
		t.Errorf("read %q, %q, %v", node, sid, ok)
	}
	for _, instance := range []string{"", "a", "-", "a-", "-b", "a-b-c"} {
		if node, sid, ok := (Address{Instance: instance}).Via(); ok || node != "" || sid != "" {
			t.Errorf("%q read as %q, %q", instance, node, sid)
		}
	}
}
