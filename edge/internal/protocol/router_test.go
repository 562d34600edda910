package protocol

import (
	"encoding/json"
	"testing"

	"hydrant/umf"
)

// The router's name is seen in every form in which a receiver might take it for the
// router, and in no other.
func TestNamesRouter(t *testing.T) {
	for from, want := range map[string]bool{
		"hydra-router:/": true, "hydra-router:": true, "hydra-router": true, "hydra-router:/a/b": true,
		"N@hydra-router:/": true, "N@hydra-router": true, "N-S@hydra-router:/": true, "a@b@hydra-router:/": true,
		"hydra-router:[GET]/": true, "hydra-router@client:/": true, "x:y@hydra-router:/": true,
		"Hydra-Router:/": true, "N@hYDRA-rOUTER:/": true, " hydra-router:/": true, "\thydra-router :/": true,
		"\u00a0hydra-router:/": true, "/hydra-router:/": true, "hydra-router/": true, "\u0130ydra-router:/": false,
		"hydra-router\u0000:/": true, "ws://hydra-router:/": true,
		"S@svc:/hydra-router:/": true, "svc:/N@hydra-router:/": true, "svc:/N@Hydra-Router": true, "svc:/a?b=@hydra-router": true,
		"client:/?hydra-router:[get]": true, "svc:/x//\u00a0hydra-router:": true,

		"client:/": false, "S@client:/": false, "tester:/": false, "hydra:/": false, "router:/": false, "": false,
		"hydra-router-2:/": false, "my-hydra-router:/": false, "hydra_router:/": false, "hydra-routér:/": false,
		"svc:/v1/hydra-router": false, "svc:/v1/hydra-router/nodes": false, "svc:[GET]/?of=http://hydra-router:5353/": false, "svc:/N@hydra-router-2:/": false, "svc:/my-hydra-router:/": false,
	} {
		raw, err := json.Marshal(from)
		if err != nil {
			t.Fatal(err)
		}
		if got := namesRouter(t, string(raw), "hydra-router"); got != want {
			t.Errorf("%q: %t", from, got)
		}
	}
	for raw, want := range map[string]bool{
		`"hydra\u002drouter:/"`: true, `["hydra-router:/"]`: true, `{"a":1}`: true, `"N@\u0068ydra-router:\/"`: true,
		`17`: false, `null`: false, `true`: false,
	} {
		if got := namesRouter(t, raw, "hydra-router"); got != want {
			t.Errorf("%s: %t", raw, got)
		}
	}
	if !namesRouter(t, `"\u017fKY:/"`, "Sky") || !namesRouter(t, `"s\u212ay:/"`, "sky") || namesRouter(t, `"hydra-router:/"`, "sky") {
		t.Error("another name of the router")
	}
	var e umf.Envelope
	if err := umf.Scan([]byte(`{"frm":"ezqmkq7kkcwzmz3nqpvt5yvbfu@hydra-router-2:/x"}`), &e); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { NamesRouter(&e, "hydra-router") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func namesRouter(t *testing.T, raw, name string) bool {
	t.Helper()
	var e umf.Envelope
	if err := umf.Scan([]byte(`{"frm":`+raw+`}`), &e); err != nil {
		t.Fatal(err)
	}
	return NamesRouter(&e, name)
}

func BenchmarkNamesRouter(b *testing.B) {
	var e umf.Envelope
	if err := umf.Scan([]byte(`{"frm":"ezqmkq7kkcwzmz3nqpvt5yvbfu@client:/"}`), &e); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if NamesRouter(&e, "hydra-router") {
			b.Fatal("it does")
		}
	}
}
