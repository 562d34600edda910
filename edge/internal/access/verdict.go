package access

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"hydrant/umf"
)

// Question is the body of a request to the authentication service.
type Question struct {
	IP     string `json:"ip"`
	Origin string `json:"origin"`
	Token  string `json:"token"`
	URL    string `json:"url"`
}

// Errors of [ReadVerdict]. A client learns nothing of the difference.
var (
	// ErrRefused: the service says that the client may not connect.
	ErrRefused = errors.New("access: the authentication service refuses")
	// ErrVerdict: the answer has no object in it, or none of the right form.
	ErrVerdict = errors.New("access: no verdict in the answer of the authentication service")
)

// ReadVerdict reads an answer of the authentication service. body is the part of
// answer that counts: the body of a UMF message, the result of an answer over
// HTTP. A refusal in either of them holds, as a member error or as a statusCode
// that is not one of success. It fails with [ErrRefused] or [ErrVerdict].
func ReadVerdict(answer, body []byte) (Identity, error) {
	var verdict struct {
		Error    json.RawMessage `json:"error"`
		Identity string          `json:"identity"`
		Expires  float64         `json:"exp"`
	}
	var e umf.Envelope
	switch {
	case failed(answer), failed(body):
		return Identity{}, ErrRefused
	case umf.Scan(body, &e) != nil, json.Unmarshal(body, &verdict) != nil:
		return Identity{}, ErrVerdict
	case len(verdict.Error) > 0:
		return Identity{}, ErrRefused
	}
	id := Identity{Name: verdict.Identity, Rules: string(umf.Member(body, "umf"))}
	if verdict.Expires > 0 {
		id.Expires = time.Unix(int64(verdict.Expires), 0)
	}
	return id, nil
}

// failed reports whether an answer has a statusCode, as answers over HTTP do in
// the original, and it is not one of success.
func failed(answer []byte) bool {
	code := umf.Member(answer, "statusCode")
	if code == nil {
		return false
	}
	status, err := strconv.Atoi(string(code))
	return err != nil || status < 200 || status > 299
}
