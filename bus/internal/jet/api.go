package jet

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
)

// Answer is what every answer of the JetStream API may hold. Answers that
// are decoded embed it.
type Answer struct {
	Error *APIError `json:"error"`
}

func (a *Answer) common() *Answer { return a }

// Ask sends one request to the JetStream API and reads its JSON answer into
// resp, an *Answer or what embeds one, which may be used again. An error that
// the API answered with is an *APIError.
func Ask(ctx context.Context, nc *nats.Conn, subject string, req any, resp interface{ common() *Answer }) error {
	var data []byte
	if req != nil {
		var err error
		if data, err = json.Marshal(req); err != nil {
			return fmt.Errorf("bus: request to %s: %w", subject, err)
		}
	}
	m, err := nc.RequestWithContext(ctx, subject, data)
	if err != nil {
		return fmt.Errorf("%s: %w", subject, RequestError(err))
	}
	answer := resp.common()
	answer.Error = nil
	if err := json.Unmarshal(m.Data, resp); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrUnconfirmed, subject, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("%s: %w", subject, answer.Error)
	}
	return nil
}

// GetRequest asks a stream for one message. Exactly one of Seq alone, LastFor,
// and NextFor (with Seq as the start) is set.
type GetRequest struct {
	Seq     uint64 `json:"seq,omitempty"`
	LastFor string `json:"last_by_subj,omitempty"`
	NextFor string `json:"next_by_subj,omitempty"`
}

// LeaderMsg is the answer, by the stream's leader.
type LeaderMsg struct {
	Subject string    `json:"subject"`
	Seq     uint64    `json:"seq"`
	Header  []byte    `json:"hdrs"`
	Data    []byte    `json:"data"`
	Time    time.Time `json:"time"`
}

// LeaderGet asks the leader of a stream for a message. found is false only if
// the leader says that there is none. It is repeated until ctx ends while
// there is no leader.
func LeaderGet(ctx context.Context, nc *nats.Conn, stream string, req GetRequest) (m LeaderMsg, found bool, err error) {
	var resp struct {
		Answer
		Message LeaderMsg `json:"message"`
	}
	err = Retry(ctx, func(ctx context.Context) error {
		return Ask(ctx, nc, scheme.APIMsgGet+stream, req, &resp)
	})
	if hasCode(err, codeNoMessage) {
		return m, false, nil
	}
	return resp.Message, err == nil, err
}

// StreamState is the part of a stream's state that readers need.
type StreamState struct {
	FirstSeq uint64 `json:"first_seq"`
	LastSeq  uint64 `json:"last_seq"`
}

// LeaderState asks the leader of a stream where the stream begins and ends.
func LeaderState(ctx context.Context, nc *nats.Conn, stream string) (StreamState, error) {
	var resp struct {
		Answer
		State StreamState `json:"state"`
	}
	err := Retry(ctx, func(ctx context.Context) error {
		return Ask(ctx, nc, scheme.APIStreamInfo+stream, nil, &resp)
	})
	return resp.State, err
}

// StatusOf is the status code of an empty message that carries one instead of
// data ("404", "409", "503"); empty for any other message.
func StatusOf(m *nats.Msg) string {
	if len(m.Data) != 0 || m.Header == nil {
		return ""
	}
	return m.Header.Get(headerStatus)
}
