package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// Key signs lines, and tells whether others did with the same. Who has it can write any trail.
type Key []byte

const (
	minKey = 16
	maxKey = 64 << 10
)

// ReadKey reads the key that a file holds: at least 16 bytes, without the newline at their end. Nobody but the user may
// read the file.
func ReadKey(path string) (Key, error) {
	f, info, err := regular(path, os.O_RDONLY, os.Stat)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := secret(info); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKey+1))
	if err != nil {
		return nil, bare(err)
	}
	if len(b) > maxKey {
		return nil, fmt.Errorf("a key has at most %d KiB", maxKey>>10)
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if len(b) < minKey {
		return nil, fmt.Errorf("a key has at least %d bytes, and this one %d (make one with: openssl rand -hex 32)", minKey, len(b))
	}
	if len(bytes.Trim(b, string(b[:1]))) == 0 {
		return nil, errors.New("a key of one byte again and again is none (make one with: openssl rand -hex 32)")
	}
	return b, nil
}

// sign is the signature of a text.
func (k Key) sign(text []byte) string {
	mac := hmac.New(sha256.New, k)
	mac.Write(text)
	return hex.EncodeToString(mac.Sum(nil))
}
