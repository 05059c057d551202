package agents

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tmc/langchaingo/llms"
)

// Attachment is a file that goes with a message: an image (png, jpeg, gif or webp), or a text.
type Attachment struct {
	Name string
	Type string // its media type
	Data []byte
}

// MarshalJSON tells what an attachment is, and of its bytes a hash: it is for who compares questions.
func (a Attachment) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"name": a.Name, "type": a.Type, "sha256": fmt.Sprintf("%x", sha256.Sum256(a.Data))})
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

func (a Attachment) image() bool {
	return slices.Contains([]string{"image/png", "image/jpeg", "image/gif", "image/webp"}, a.Type)
}

// flaw is why models cannot take an attachment, or nil.
func (a Attachment) flaw() error {
	if a.image() || utf8.Valid(a.Data) && bytes.IndexByte(a.Data, 0) < 0 {
		return nil
	}
	return &Error{Kind: BadRequest, Message: fmt.Sprintf("%s cannot be attached: it is no image that models take (png, jpeg, gif, webp) and no text", truncate(a.Name))}
}

// part is an attachment as langchaingo has it. Its client of Anthropic sends bytes, that of OpenAI addresses.
func (a Attachment) part(claude bool) llms.ContentPart {
	switch {
	case !a.image():
		return llms.TextPart(a.Name + ":\n\n" + string(a.Data))
	case claude:
		return llms.BinaryPart(a.Type, a.Data)
	}
	return llms.ImageURLPart("data:" + a.Type + ";base64," + base64.StdEncoding.EncodeToString(a.Data))
}
