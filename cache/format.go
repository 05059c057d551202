package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
)

// A file is a line with the version and the checksum of the rest, a line of JSON about the answer, and the answer.
const (
	version  = "flowrun answer 1 "
	maxLabel = 200     // characters
	maxHead  = 4 << 10 // bytes of both lines
)

// head is what a file says of its answer.
type head struct {
	Key   string `json:"key"`
	Kept  int64  `json:"kept"` // nanoseconds since 1970
	Size  int64  `json:"size"` // of the answer
	Label string `json:"label"`
}

func encode(h head, answer []byte) []byte {
	if label := []rune(h.Label); len(label) > maxLabel {
		h.Label = string(label[:maxLabel-1]) + "…"
	}
	h.Size = int64(len(answer))
	about, _ := json.Marshal(h) // texts and numbers always can
	rest := append(append(about, '\n'), answer...)
	return append(firstLine(rest), rest...)
}

func firstLine(rest []byte) []byte { return fmt.Appendf(nil, "%s%x\n", version, sha256.Sum256(rest)) }

// decode is what a file was made of, if nothing of it has changed.
func decode(b []byte) (h head, answer []byte, ok bool) {
	h, begins, ok := readHead(b)
	_, rest, _ := bytes.Cut(b, []byte("\n"))
	if !ok || !bytes.HasPrefix(b, firstLine(rest)) {
		return head{}, nil, false
	}
	return h, b[begins:], true
}

// readHead reads the head of a file that may be cut behind it, and where the answer begins.
func readHead(b []byte) (h head, begins int, ok bool) {
	line, rest, first := bytes.Cut(b, []byte("\n"))
	about, _, second := bytes.Cut(rest, []byte("\n"))
	if !first || !second || !bytes.HasPrefix(line, []byte(version)) || json.Unmarshal(about, &h) != nil {
		return head{}, 0, false
	}
	return h, len(line) + 1 + len(about) + 1, true
}
