package journal

// OpenWith opens a journal with another driver of database/sql.
func OpenWith(path, driver string) (*Journal, error) { return open(path, driver) }

// DecodeEntry and DecodeEvent read a row, of which no value is large.
var (
	DecodeEntry = func(text string) (any, error) { return decodeEntry("", text, "") }
	DecodeEvent = func(text string) (any, error) { return decodeEvent("", text, "") }
)

// Things are the tables and indexes of a journal.
func Things() []string { return things(migrations) }

// InWords says what an error means, for people.
func InWords(err error) error { return inWords(err) }

// RemoveFound goes on with the removal of a run that was found.
func (j *Journal) RemoveFound(id string) error {
	_, err := j.remove([]string{id}, false)
	return err
}
