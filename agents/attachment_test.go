package agents

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"
)

func TestAttach(t *testing.T) {
	dot := image.NewPaletted(image.Rect(0, 0, 1, 1), []color.Color{color.Black})
	written := func(write func(b *bytes.Buffer) error) string {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	const neither = "it is neither an image (png, jpeg, gif, webp) nor UTF-8 text"
	tests := map[string]struct{ data, want, err string }{
		"a png":              {written(func(b *bytes.Buffer) error { return png.Encode(b, dot) }), "image/png", ""},
		"a jpeg":             {written(func(b *bytes.Buffer) error { return jpeg.Encode(b, dot, nil) }), "image/jpeg", ""},
		"a gif":              {written(func(b *bytes.Buffer) error { return gif.Encode(b, dot, nil) }), "image/gif", ""},
		"a webp":             {"RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00", "image/webp", ""},
		"a text":             {"Über\r\n\tals\n", "text/plain", ""},
		"a page":             {"<html><body>hi", "text/plain", ""},
		"a drawing":          {`<?xml version="1.0"?><svg/>`, "text/plain", ""},
		"the word of a bmp":  {"BM25 is a ranking function", "text/plain", ""},
		"nothing":            {"", "text/plain", ""},
		"a bmp":              {"BM\x9a\x00\x00\x00", "", "it is an image of type image/bmp, not png, jpeg, gif or webp"},
		"an executable":      {"\x7fELF\x02\x01\x01\x00\x00", "", neither},
		"another encoding":   {"\xdcber", "", neither},
		"UTF-16":             {"\xff\xfea\x00", "", neither},
		"a NUL":              {"a\x00b", "", neither},
		"the start of a png": {"\x89PNG", "", neither},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Attach("photo.png", []byte(tt.data))
			if (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
				t.Fatalf("\n got %v\nwant %s", err, tt.err)
			}
			if err == nil && (got.Type != tt.want || got.Name != "photo.png" || string(got.Data) != tt.data) {
				t.Errorf("got %s of type %s, want %s", got.Name, got.Type, tt.want)
			}
		})
	}
}
