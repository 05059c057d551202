package agents

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"
)

// Attachment is an image or a text that goes with a message.
type Attachment struct {
	Name string // what the model is told that it is called
	Type string // image/png, image/jpeg, image/gif, image/webp or text/plain
	Data []byte
}

// Attach makes an attachment of a file's bytes. Its type is told by them, whatever it is called.
func Attach(name string, data []byte) (Attachment, error) {
	switch sniffed := http.DetectContentType(data); {
	case sniffed == "image/png", sniffed == "image/jpeg", sniffed == "image/gif", sniffed == "image/webp":
		return Attachment{name, sniffed, data}, nil
	case strings.HasPrefix(sniffed, "image/") && !utf8.Valid(data):
		return Attachment{}, errors.New("it is an image of type " + sniffed + ", not png, jpeg, gif or webp")
	case bytes.IndexByte(data, 0) >= 0 || !utf8.Valid(data):
		return Attachment{}, errors.New("it is neither an image (png, jpeg, gif, webp) nor UTF-8 text")
	}
	return Attachment{name, "text/plain", data}, nil
}
