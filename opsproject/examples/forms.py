"""The article form."""

from django import forms

from .models import Article


class ArticleForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """An article's title and body."""

    class Meta:
        model = Article
        fields = ("title", "body")
        widgets = {"body": forms.Textarea(attrs={"rows": 3})}
