package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"hydrant/bus"
	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// TestAnswersGo: what a handler of the kit does comes to clients as the vectors have it,
// which the kit for Node runs as well.
func TestAnswersGo(t *testing.T) {
	t.Parallel()
	w := world.Own(t, harness.NATSOptions{})
	node := w.Start(t, "a", nil)
	impatient := w.Start(t, "impatient", map[string]string{"EDGE_REQUEST_TIMEOUT": "300ms"})
	cases := make(map[string]world.AnswerCase)
	for _, c := range world.Answers(t) {
		cases[c.Name] = c
	}
	perform := func(ctx context.Context, r *bus.Request) error {
		ctx, cancel := context.WithCancel(ctx)
		defer context.AfterFunc(t.Context(), cancel)() // a case may wait for ever
		defer cancel()
		name := r.PathValue("name")
		if name == "" {
			var body struct{ Case string }
			if err := r.Decode(&body); err != nil {
				return err
			}
			name = body.Case
		}
		for _, what := range cases[name].Do {
			if err := do(ctx, r, what); err != nil {
				return err
			}
		}
		return nil
	}
	kitService(t, w, "answers", func(s *bus.Service) error {
		return errors.Join(s.HandleMethod("GET", "/v1/answers/{name}", perform), s.Handle("question", perform), s.Handle("", perform))
	})
	kitService(t, w, "others", func(s *bus.Service) error {
		return errors.Join(s.HandleMethod("GET", "/v1/handled", perform), s.Handle("", perform))
	})
	world.CheckAnswers(t, node, impatient, "answers", "others")
}

// do is one thing that a handler does in a case.
func do(ctx context.Context, r *bus.Request, what map[string]any) error {
	text := func(key string) string {
		s, _ := what[key].(string)
		return s
	}
	headers, _ := what["headers"].(map[string]any)
	switch {
	case what["reply_nothing"] != nil:
		return r.Reply(ctx, nil)
	case what["reply_size"] != nil:
		return r.Reply(ctx, strings.Repeat("x", int(what["reply_size"].(float64))))
	case what["fail"] != nil:
		return &bus.Failure{Code: text("code"), Text: text("fail")}
	case what["throw"] != nil:
		return errors.New(text("throw"))
	case what["panic"] != nil:
		panic(text("panic"))
	case what["wait"] != nil:
		<-ctx.Done()
		return ctx.Err()
	case what["respond"] != nil:
		fields := make(map[string]string)
		for name, value := range headers {
			fields[name] = fmt.Sprint(value)
		}
		kind := fields["Content-Type"]
		delete(fields, "Content-Type")
		return r.Respond(ctx, bus.Response{Status: int(what["status"].(float64)), ContentType: kind, Header: fields, Body: []byte(text("respond"))})
	}
	body, err := json.Marshal(what["reply"])
	if err != nil {
		return err
	}
	m, err := r.NewReply(json.RawMessage(body))
	if err != nil {
		return err
	}
	if kind := text("type"); kind != "" {
		m.Type = kind
	}
	if headers != nil {
		if m.Headers, err = json.Marshal(headers); err != nil {
			return err
		}
	}
	return r.ReplyMessage(ctx, m)
}
