package umf_test

import (
	"errors"
	"fmt"

	"hydrant/umf"
)

// A router reads some fields of a message, and sends on the client's bytes with its
// own address in them.
func ExampleScan() {
	text := []byte(`{"to":"auth-svc:/login","frm":"client:/","mid":"m-1","bdy":{"user":"jane"}}`)
	var e umf.Envelope // may be used for one message after the other
	if err := umf.Scan(text, &e); err != nil {
		fmt.Println(err)
		return
	}
	if err := e.Check(); err != nil {
		fmt.Println(err)
		return
	}
	to, _ := e.Text(umf.To, nil)
	address, err := umf.ViewAddress(to)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("for %s: %s\n", address.Service, e.Raw(umf.Body))
	via := umf.AppendString(nil, "0a1b-abcd@hydra-router:/")
	fmt.Printf("%s\n", e.AppendShort(nil, umf.Set{Field: umf.Via, Raw: via}))
	// Output:
	// for auth-svc: {"user":"jane"}
	// {"to":"auth-svc:/login","frm":"client:/","mid":"m-1","bdy":{"user":"jane"},"via":"0a1b-abcd@hydra-router:/"}
}

func ExampleScan_error() {
	var e umf.Envelope
	err := umf.Scan([]byte(`{"to":"auth-svc:/",}`), &e)
	var syntax *umf.SyntaxError
	if errors.As(err, &syntax) {
		fmt.Println(syntax.Offset, err)
	}
	// Output:
	// 19 umf: a key in quotes is missing at byte 19
}

func ExampleEnvelope_AppendShort() {
	var e umf.Envelope
	if err := umf.Scan([]byte(`{"body":{"n":1.0},"from":"client:/","frm":"x:/","to":"svc:/"}`), &e); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", e.AppendShort(nil))
	// Output:
	// {"to":"svc:/","frm":"client:/","bdy":{"n":1.0}}
}

func ExampleEnvelope_AppendCanonical() {
	var e umf.Envelope
	if err := umf.Scan([]byte(`{"bdy":{"b":1.0,"10":"\u00e9","9":1e400},"frm":"client:/","to":"svc:/"}`), &e); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", e.AppendCanonical(nil))
	// Output:
	// {"to":"svc:/","from":"client:/","version":"UMF/1.4.6","body":{"9":null,"10":"é","b":1}}
}

// Two keys, so that the secret can be changed: the first signs, both verify.
func ExampleKeys() {
	var e umf.Envelope
	const unsigned = `{"to":"svc:/","frm":"client:/","mid":"m-1","ts":"2026-01-12T20:16:29.157Z","bdy":{}}`
	if err := umf.Scan([]byte(unsigned), &e); err != nil {
		fmt.Println(err)
		return
	}
	signature := umf.NewKeys("old secret").Sign(&e)
	signed := e.AppendShort(nil, umf.Set{Field: umf.Signature, Raw: umf.AppendString(nil, signature)})

	keys := umf.NewKeys("new secret", "old secret")
	fmt.Println(keys.Verify(&e))
	if err := umf.Scan(signed, &e); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(keys.Verify(&e))
	// Output:
	// umf: message is not signed
	// <nil>
}

func ExampleParseAddress() {
	a, err := umf.ParseAddress("3f2a@auth-svc:[post]/v1/login")
	fmt.Println(a.Instance, a.Service, a.Method, a.Path, err)
	_, err = umf.ParseAddress("auth-svc.>:/")
	fmt.Println(err)
	// Output:
	// 3f2a auth-svc POST /v1/login <nil>
	// umf: not an address: bad service name
}

func ExampleMessage_Reply() {
	request, err := umf.Parse([]byte(`{"to":"echo-svc:/","frm":"client:/","mid":"m-1","via":"0a1b-abcd@hydra-router:/","bdy":{"n":1}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	reply, err := request.Reply(map[string]any{"echo": request.Body})
	if err != nil {
		fmt.Println(err)
		return
	}
	reply.Mid, reply.Timestamp = "m-2", "2026-01-12T20:16:29.157Z" // both are set already
	text, err := reply.AppendShort(nil)
	fmt.Printf("%s %v\n", text, err)
	// Output:
	// {"to":"0a1b-abcd@hydra-router:/","frm":"echo-svc:/","mid":"m-2","rmid":"m-1","ts":"2026-01-12T20:16:29.157Z","ver":"UMF/1.4.6","bdy":{"echo":{"n":1}}} <nil>
}
