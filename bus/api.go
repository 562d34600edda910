package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// The part of the JetStream API that is asked directly. nats.go's jetstream
// package creates streams here, and nothing else: it reads messages from
// whichever replica answers, but a message's absence is proved by the stream's
// leader only, and it has no consumers without a goroutine and a subscription
// of their own.
const (
	apiPrefix         = "$JS.API."
	apiMsgGet         = apiPrefix + "STREAM.MSG.GET."
	apiStreamInfo     = apiPrefix + "STREAM.INFO."
	apiDirectGet      = apiPrefix + "DIRECT.GET."
	apiConsumerCreate = apiPrefix + "CONSUMER.CREATE."
	apiConsumerDelete = apiPrefix + "CONSUMER.DELETE."
	apiConsumerNext   = apiPrefix + "CONSUMER.MSG.NEXT."

	advisoryLeader = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED."
)

// apiAnswer is what every answer of the JetStream API may hold. Answers that
// are decoded embed it.
type apiAnswer struct {
	Error *apiError `json:"error"`
}

func (a *apiAnswer) common() *apiAnswer { return a }

// call sends one request to the JetStream API and reads its JSON answer into
// resp, an *apiAnswer or what embeds one, which may be used again. An error that
// the API answered with is an *apiError.
func call(ctx context.Context, nc *nats.Conn, subject string, req any, resp interface{ common() *apiAnswer }) error {
	var data []byte
	if req != nil {
		var err error
		if data, err = json.Marshal(req); err != nil {
			return fmt.Errorf("bus: request to %s: %w", subject, err)
		}
	}
	m, err := nc.RequestWithContext(ctx, subject, data)
	if err != nil {
		return fmt.Errorf("%s: %w", subject, requestError(err))
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

// getRequest asks a stream for one message. Exactly one of Seq alone, LastFor,
// and NextFor (with Seq as the start) is set.
type getRequest struct {
	Seq     uint64 `json:"seq,omitempty"`
	LastFor string `json:"last_by_subj,omitempty"`
	NextFor string `json:"next_by_subj,omitempty"`
}

// leaderMsg is the answer, by the stream's leader.
type leaderMsg struct {
	Subject string    `json:"subject"`
	Seq     uint64    `json:"seq"`
	Header  []byte    `json:"hdrs"`
	Data    []byte    `json:"data"`
	Time    time.Time `json:"time"`
}

// leaderGet asks the leader of a stream for a message. found is false only if
// the leader says that there is none. It is repeated until ctx ends while
// there is no leader.
func leaderGet(ctx context.Context, nc *nats.Conn, stream string, req getRequest) (m leaderMsg, found bool, err error) {
	var resp struct {
		apiAnswer
		Message leaderMsg `json:"message"`
	}
	err = retry(ctx, func(ctx context.Context) error {
		return call(ctx, nc, apiMsgGet+stream, req, &resp)
	})
	if hasCode(err, codeNoMessage) {
		return m, false, nil
	}
	return resp.Message, err == nil, err
}

// streamState is the part of a stream's state that readers need.
type streamState struct {
	FirstSeq uint64 `json:"first_seq"`
	LastSeq  uint64 `json:"last_seq"`
}

// leaderState asks the leader of a stream where the stream begins and ends.
func leaderState(ctx context.Context, nc *nats.Conn, stream string) (streamState, error) {
	var resp struct {
		apiAnswer
		State streamState `json:"state"`
	}
	err := retry(ctx, func(ctx context.Context) error {
		return call(ctx, nc, apiStreamInfo+stream, nil, &resp)
	})
	return resp.State, err
}

// statusOf is the status code of an empty message that carries one instead of
// data ("404", "409", "503"); empty for any other message.
func statusOf(m *nats.Msg) string {
	if len(m.Data) != 0 || m.Header == nil {
		return ""
	}
	return one(m.Header, headerStatus)
}

// ignoreNotFound: a deletion of what was not there is a success.
func ignoreNotFound(err error) error {
	if hasCode(err, codeConsumerNotFound, codeStreamNotFound) {
		return nil
	}
	return err
}

var errPull = errors.New("bus: pull")
