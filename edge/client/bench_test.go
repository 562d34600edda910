package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/coder/websocket"

	"hydrant/umf"
)

// answering is a node that answers everything with its body.
func answering(b *testing.B) string {
	b.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{protocolAck}})
		if err != nil {
			return
		}
		defer func() { _ = ws.CloseNow() }()
		ctx := context.Background()
		welcome := `{"to":"S@client:/","frm":"` + router + `","mid":"w","typ":"connection","bdy":{"id":"S","token":"T","caps":["ack","accepted","resume"]}}`
		for err = ws.Write(ctx, websocket.MessageText, []byte(welcome)); err == nil; {
			var text []byte
			if _, text, err = ws.Read(ctx); err != nil {
				return
			}
			mid, _ := umf.MemberText(text, "mid")
			err = ws.Write(ctx, websocket.MessageText, []byte(`{"to":"S@client:/","frm":"echo:/","mid":"`+mid+`","rmid":"`+mid+`","bdy":{"n":1}}`))
		}
	}))
	b.Cleanup(server.Close)
	return "ws" + server.URL[len("http"):]
}

// What a round trip costs, with the node's part, through a client and without one.
// integration/bench measures the same with a node, in processor time.
func BenchmarkRoundTrip(b *testing.B) {
	url := answering(b)
	b.Run("client", func(b *testing.B) {
		c, err := Dial(b.Context(), Options{URLs: []string{url}})
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Request(b.Context(), Message{To: "echo:[GET]/"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("raw", func(b *testing.B) {
		ctx := context.Background()
		ws, _, err := websocket.Dial(ctx, url, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = ws.CloseNow() }()
		_, _, err = ws.Read(ctx)
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			m := umf.Message{To: "echo:[GET]/", From: "S@client:/", Mid: strconv.Itoa(n), Body: json.RawMessage("{}")}
			var text []byte
			if err == nil {
				text, err = m.AppendShort(nil)
			}
			if err == nil {
				err = ws.Write(ctx, websocket.MessageText, text)
			}
			if err == nil {
				_, text, err = ws.Read(ctx)
			}
			if err == nil {
				_, err = umf.Parse(text)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
