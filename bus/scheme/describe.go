package scheme

import "encoding/json"

// Description tells people and generators of clients about a route. [MetaDescribe] has
// a JSON object of them by route, as [Route.String] writes it.
type Description struct {
	Summary string `json:"summary,omitempty"` // one line
	Text    string `json:"description,omitempty"`
	// Request and Response are JSON Schemas of the bodies (2020-12), without $ref. Of
	// the answer that a WebSocket's client gets, too: over HTTP it is in an envelope.
	Request  json.RawMessage `json:"request,omitempty"`
	Response json.RawMessage `json:"response,omitempty"`
}

// MaxDescriptions is the length in bytes of the longest text of [MetaDescribe]. It goes
// to every node every few seconds.
const MaxDescriptions = 64 << 10
