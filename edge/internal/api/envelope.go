package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
)

// envelope wraps every answer over HTTP, as Hydra Router does.
type envelope struct {
	StatusCode        int    `json:"statusCode"`
	StatusMessage     string `json:"statusMessage"`
	StatusDescription string `json:"statusDescription"`
	Result            any    `json:"result"`
}

const succeeded = "Request succeeded without error"

// descriptions are what Hydra Router says for a status, whatever the reason is.
var descriptions = map[int]string{
	http.StatusBadRequest:          "Request is invalid, missing parameters?",
	http.StatusNotFound:            "The requested resource was not found on the server",
	http.StatusInternalServerError: "An error occurred on the server",
}

// why is the result of an answer that has no other.
type why struct {
	Reason string `json:"reason"`
}

// newEnvelope makes an answer. Of one that is an error, text is the reason: the result
// has it, and the description where Hydra Router has none of its own.
func newEnvelope(status int, text string, result any) envelope {
	e := envelope{status, http.StatusText(status), text, result}
	if status == http.StatusInternalServerError {
		e.StatusMessage = "Server Error"
	}
	if description, ok := descriptions[status]; ok {
		e.StatusDescription = description
	}
	if result != nil {
		return e
	}
	e.Result = struct{}{}
	if status >= http.StatusBadRequest {
		e.Result = why{text}
	}
	return e
}

func writeEnvelope(w http.ResponseWriter, status int, text string, result any) {
	writeAnswer(w, status, newEnvelope(status, text, result))
}

func writeAnswer(w http.ResponseWriter, status int, answer any) {
	text, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	writeJSON(w, status, text)
}

func writeJSON(w http.ResponseWriter, status int, text []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text))) // or it would have no end before its handler's
	w.WriteHeader(status)
	_, _ = w.Write(text) // fails when the peer is gone
}

// refuse answers with an error that is a refusal.
func refuse(w http.ResponseWriter, err error) {
	var no *refusal
	switch {
	case errors.As(err, &no):
	case errors.Is(err, nats.ErrMaxPayload):
		no = errTooLarge
	default:
		no = errUnavailable
	}
	no.write(w)
}

// nodesEnvelope is that of list/nodes, which says beside the list who answers.
type nodesEnvelope struct {
	envelope
	InstanceID scheme.NodeID `json:"instanceID"`
	Hostname   string        `json:"hostname"`
	Version    string        `json:"version"`
}

func (a *API) writeNodes(w http.ResponseWriter, list any) {
	n := &a.node
	writeAnswer(w, http.StatusOK, nodesEnvelope{newEnvelope(http.StatusOK, succeeded, list), n.ID, hostname(), n.Version})
}
