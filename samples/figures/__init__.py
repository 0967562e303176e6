"""The PNG figures of the e-books and the exams: a module a book or a group of subjects."""
