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
        act affirmed agreement allegations alleged amendment appeal appellant arbitration argued argues asserted
        attorney attorneys bankruptcy breach claimant claims clause complaint confidential consent constitution
        constitutional contends contract contractual convicted copyright counsel court courts covenant creditor
        custody damages deductible defendant defendants denied disclosure diversity doctrine enforceable
        evidence federal felony fiduciary filed forum governing guilty hearing hereby herein hereof hereunder
        holding honor inadmissible indemnification indemnify indictment infringement injunction insured insurer
        judge judgment jurisdiction jury law laws lawsuit lawyer legal legislature liability liable license
        licensed licensee licensor litigation merits motion negligence negligent notwithstanding obligations
        overruled parties party petition petitioner plaintiff plaintiffs policyholder precedent prosecution
        provision provisions pursuant regulation regulations remand remanded respondent rights ruling section
        sentence shall statute statutory sued suit supreme terminate termination testified testimony thereof
        tort tribunal trustee unlawful verdict violated violation warranties warranty witness
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
