"""Words that tell a domain: common within it, and rare outside."""

_WORDS = {
    "medical": """
        acute anesthesia antibiotic artery biopsy blood cancer carcinoma cardiac cells chronic clinical cohort diabetes
        diagnosis disease diseases dosage dose drug drugs efficacy epidemiology fetal gene hepatic hospital hypertension
        infant infection lesion medication mortality nurse obesity outcomes pathology patient patients pediatric
        physician placebo plasma postoperative pregnancy prevalence prognosis protein pulmonary randomized renal serum
        stroke surgery surgical symptom symptoms syndrome therapy treatment trial trials tumor tumour vaccine
    """,
    "finance": """
        amortization assets audit auditor balance bank banking billion bond bonds capital cash consolidated credit
        currency debt depreciation derivative derivatives dividend dividends earnings ebitda ended equity exchange
        expense expenses fiscal gaap goodwill hedge ifrs impairment income interest investment investments lease leases
        liabilities loan loans margin million millions payable portfolio profit quarter receivable receivables revenue
        revenues securities segment shareholder shareholders shares stock tax taxable taxes
    """,
    "law": """
        act agreement amendment appeal appellant arbitration attorney breach clause confidential consent contract
        contractual copyright counsel court courts covenant custody damages defendant defendants disclosure evidence
        governing hereby herein hereof hereunder indemnification indemnify infringement judge judgment jurisdiction jury
        law laws lawsuit legal liability license licensed licensee licensor litigation notwithstanding obligations
        parties party plaintiff plaintiffs prosecution provision provisions pursuant rights section sentence shall
        statute statutory terminate termination testimony thereof tort warranties warranty
    """,
    "mathematics": """
        * + - / = add altogether angle answer area average circle cube derivative digit digits divide divisible each
        equals equation equations factor factors fraction function half integer integers integral lemma linear many
        matrix much multiply n number numbers per percent perimeter polynomial prime probability product proof quadratic
        radius ratio remainder remaining root solve square subtract sum theorem times total triangle twice vector volume
        x y
    """,
    "code": """
        != # #include && */ += -> /* // ; == => api assert async await bool break char class const continue def delete
        elif else except false float for from function git http if import include insert int join json lambda let new
        none npm null nullptr pass pip print printf private public raise return select self static string struct true
        try update var void where while yield { || }
    """,
}
LEXICONS: dict[str, frozenset[str]] = {name: frozenset(words.split()) for name, words in _WORDS.items()}
