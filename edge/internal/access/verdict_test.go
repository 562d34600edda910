package access

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
)

// TestReadVerdict: only an answer that is no refusal in any of the forms that
// services have lets a client in.
func TestReadVerdict(t *testing.T) {
	for _, test := range []struct {
		answer, body string
		id           Identity
		want         error
	}{
		{`{}`, `{"identity":"ann"}`, Identity{Name: "ann"}, nil},
		{`{}`, `{"identity":"ann","exp":1000.9}`, Identity{Name: "ann", Expires: time.Unix(1000, 0)}, nil},
		{`{}`, `{"identity":"ann","umf":{"services": ["a"]}}`, Identity{Name: "ann", Rules: `{"services": ["a"]}`}, nil},
		{`{}`, `{"identity":"ann","umf":null}`, Identity{Name: "ann", Rules: `null`}, nil},
		{`{}`, `{"identity":"ann","UMF":{}}`, Identity{Name: "ann"}, nil},
		{`{}`, `{"identity":"ann","exp":0}`, Identity{Name: "ann"}, nil},
		{`{}`, `{"identity":"ann","exp":-1}`, Identity{Name: "ann"}, nil},
		{`{}`, `{"anything":1}`, Identity{}, nil},
		{`{"statusCode":200}`, `{"identity":"ann"}`, Identity{Name: "ann"}, nil},
		{`{"statusCode":299}`, `{"statusCode":200}`, Identity{}, nil},
		{`{"statusCode":401}`, `{"identity":"ann"}`, Identity{}, ErrRefused},
		{`{"statusCode":199}`, `{}`, Identity{}, ErrRefused},
		{`{"statusCode":"403"}`, `{}`, Identity{}, ErrRefused},
		{`{"statusCode":null}`, `{}`, Identity{}, ErrRefused},
		{`{}`, `{"statusCode":401}`, Identity{}, ErrRefused},
		{`{}`, `{"identity":"ann","error":"no"}`, Identity{}, ErrRefused},
		{`{}`, `{"identity":"ann","error":null}`, Identity{}, ErrRefused},
		{`{}`, `{"identity":7}`, Identity{}, ErrVerdict},
		{`{}`, `{"exp":"soon"}`, Identity{}, ErrVerdict},
		{`{}`, `"no"`, Identity{}, ErrVerdict},
		{`no`, `no`, Identity{}, ErrVerdict},
		{``, ``, Identity{}, ErrVerdict},
	} {
		id, err := ReadVerdict([]byte(test.answer), []byte(test.body))
		if !errors.Is(err, test.want) || id != test.id {
			t.Errorf("%s with %s: %+v, %v", test.answer, test.body, id, err)
		}
	}
}

// FuzzReadVerdict: no answer with a refusal in it lets a client in.
func FuzzReadVerdict(f *testing.F) {
	f.Add([]byte(`{"identity":"ann","exp":1e9}`))
	f.Add([]byte(`{"statusCode":200,"identity":"ann","error":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		id, err := ReadVerdict(text, text)
		if err != nil {
			if id != (Identity{}) {
				t.Errorf("%q is an error and %+v", text, id)
			}
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(text, &members); err != nil {
			t.Fatalf("%q is taken: %v", text, err)
		}
		if _, refused := members["error"]; refused {
			t.Errorf("%q is taken", text)
		}
		var status int
		if code, there := members["statusCode"]; there && (json.Unmarshal(code, &status) != nil || status < 200 || status > 299) {
			t.Errorf("%q is taken", text)
		}
	})
}

// TestQuestion: services read the members by name, and their order is as it was.
func TestQuestion(t *testing.T) {
	text, err := json.Marshal(Question{IP: "192.0.2.1", Origin: "o", Token: "t", URL: "/u"})
	if want := `{"ip":"192.0.2.1","origin":"o","token":"t","url":"/u"}`; err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}
