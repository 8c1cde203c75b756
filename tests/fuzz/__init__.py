"""Any bytes into what reads them: nothing but declared failures may come out."""
